-- The counters of several gateways, decided in one call (LIMITS.md section 1, EXACT.md 30).
--
-- The same arithmetic as plimsoll/contract/windows.py, on the same whole numbers. Lua has only
-- doubles: every sum is ordered so that it stays exact below 2^53, and quotients go by fmod, which
-- is exact where `/` rounds.
--
-- KEYS     one counter a limit, then the record of the decision
-- ARGV[1]  decide | settle | read
-- ARGV[2]  per limit: kind, metric, quota, capacity, period in ms (0: a month), 1 if charged at admission
-- ARGV[3]  what is asked of each metric, or was taken
-- ARGV[4]  per limit the state last seen, (used, mark); to settle without a record, what was held:
--          per limit the mark, then the amount of each metric
-- ARGV[5]  per limit what was taken while we were away, (used, mark); or ''
-- ARGV[6]  how the request is called among those in flight
-- ARGV[7]  what the record says first, for a gateway that settles for another
-- Numbers are doubles, big-endian, one after the other. Answer: the time in microseconds, whether
-- it is done, then per limit (used, mark, wait).

local BUCKET, WINDOW, CONCURRENCY = 1, 2, 3
local NEVER, UNKNOWN = -1, -2
local BOUND = 9007199254740991
local ANCHOR = 345600
local HOUR = 3600000
local UNSETTLED = 900000
local LONGEST = 31 * 86400000

local function numbers(text)
  if #text == 0 then return {} end
  local values = {struct.unpack('>' .. string.rep('d', #text / 8), text)}
  -- The last says where unpacking stopped.
  table.remove(values)
  return values
end

local function packed(values)
  return struct.pack('>' .. string.rep('d', #values), unpack(values))
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local act = ARGV[1]
local shape, amounts = numbers(ARGV[2]), numbers(ARGV[3])
local count = #shape / 6
local record = KEYS[count + 1]

-- ---- arithmetic ----

local function floor_div(a, b)
  return (a - math.fmod(a, b)) / b
end

local function ceil_div(a, b)
  local rest = math.fmod(a, b)
  return (a - rest) / b + (rest > 0 and 1 or 0)
end

local function month_end(seconds)
  -- The civil calendar from days; years begin in March, so that a leap day is a year's last.
  local days = floor_div(seconds, 86400) + 719468
  local era = floor_div(days, 146097)
  local doe = days - era * 146097
  local yoe = doe - floor_div(doe, 1460) + floor_div(doe, 36524) - floor_div(doe, 146096)
  yoe = floor_div(yoe, 365)
  local doy = doe - (365 * yoe + floor_div(yoe, 4) - floor_div(yoe, 100))
  local month = floor_div(5 * doy + 2, 153) + 1
  local first = floor_div(153 * month + 2, 5)
  if month == 12 then
    -- February is followed by the first day of the next such year.
    yoe = yoe + 1
    first = 0
    if yoe == 400 then
      era, yoe = era + 1, 0
    end
  end
  local next_doe = yoe * 365 + floor_div(yoe, 4) - floor_div(yoe, 100) + first
  return (era * 146097 + next_doe - 719468) * 86400
end

local function window_end(unit)
  local seconds = math.floor(now / 1000)
  if unit == 0 then return month_end(seconds) * 1000 end
  local period = unit / 1000
  return (seconds - math.fmod(seconds - ANCHOR, period) + period) * 1000
end

local function leaked(quota, used, mark)
  if now > mark then
    return math.max(0, used - quota * (now - mark)), now
  end
  return used, mark
end

-- ---- one limit: place `at` in `shape` ----

local function wait_of(at, used, mark, amount)
  local quota, capacity = shape[at + 2], shape[at + 3]
  if amount == 0 then return 0 end
  if amount > capacity then return NEVER end
  if shape[at] == BUCKET then
    local excess = used - (capacity - amount) * shape[at + 4]
    if excess <= 0 then return 0 end
    return math.max(0, mark - now + ceil_div(excess, quota))
  end
  if shape[at] == WINDOW then
    if now >= mark or used <= quota - amount then return 0 end
    return mark - now
  end
  return used <= quota - amount and 0 or UNKNOWN
end

local function charged(at, used, mark, amount)
  if shape[at] == BUCKET then
    used, mark = leaked(shape[at + 2], used, mark)
    return math.min(BOUND, used + amount * shape[at + 4]), mark
  end
  if now < mark then return math.min(BOUND, used + amount), mark end
  return math.min(BOUND, amount), window_end(shape[at + 4])
end

local function settled(at, used, mark, held, held_mark, actual)
  local unused = held - actual
  if shape[at] == BUCKET then
    used, mark = leaked(shape[at + 2], used, mark)
    unused = unused * shape[at + 4]
    if unused > 0 then
      local refill = shape[at + 2] * (mark - held_mark)
      unused = math.min(unused, math.max(0, held * shape[at + 4] - refill))
    end
    return math.min(BOUND, math.max(0, used - unused)), mark
  end
  if unused < 0 then return charged(at, used, mark, -unused) end
  if mark ~= held_mark or now >= mark then return used, mark end
  return math.max(0, used - unused), mark
end

-- A counter is kept while it can still refuse somebody, and an hour more.
local function kept_ms(at, used)
  local unit = shape[at + 4]
  if unit == 0 then unit = LONGEST end
  if shape[at] == BUCKET and shape[at + 2] > 0 then
    unit = math.max(unit, ceil_div(used, shape[at + 2]))
  end
  return math.min(BOUND, unit + HOUR)
end

local function write(place, at, used, mark)
  redis.call('SET', KEYS[place], string.format('%.0f %.0f', used, mark),
    'PX', string.format('%.0f', kept_ms(at, used)))
end

local function in_flight(place)
  redis.call('ZREMRANGEBYSCORE', KEYS[place], '-inf', string.format('%.0f', now - UNSETTLED))
  return redis.call('ZCARD', KEYS[place])
end

-- What a counter that is not there stands at: as last seen, if it was lost.
local function read_all(seen)
  local states = {}
  local found = redis.call('MGET', unpack(KEYS, 1, count))
  for place = 1, count do
    local at = place * 6 - 5
    local used, mark = 0, 0
    if shape[at] == CONCURRENCY then
      used = in_flight(place)
    elseif found[place] then
      used, mark = string.match(found[place], '^(%d+) (%d+)$')
      used, mark = tonumber(used), tonumber(mark)
    else
      used, mark = seen[place * 2 - 1] or 0, seen[place * 2] or 0
      -- Another server's clock may have been ahead: that must not stop a bucket's refill.
      if shape[at] == BUCKET then mark = math.min(mark, now) end
    end
    states[place] = {used, mark}
  end
  return states
end

local function answer(done, states, waits)
  local values = {time[1] * 1000000 + time[2], done}
  for place = 1, count do
    values[#values + 1] = states[place][1]
    values[#values + 1] = states[place][2]
    values[#values + 1] = waits[place] or 0
  end
  return packed(values)
end

-- ---- the three acts ----

-- What one gateway took while it could not tell us comes on top.
local function bring(states, own)
  for place = 1, count do
    local at, state = place * 6 - 5, states[place]
    local more, more_mark = own[place * 2 - 1] or 0, own[place * 2]
    if more > 0 and shape[at] == BUCKET then
      local used, mark = leaked(shape[at + 2], state[1], state[2])
      state[1], state[2] = math.min(BOUND, used + more), mark
      write(place, at, state[1], state[2])
    elseif more > 0 and shape[at] == WINDOW and more_mark > now then
      local used = state[2] == more_mark and state[1] or 0
      state[1], state[2] = math.min(BOUND, used + more), more_mark
      write(place, at, state[1], state[2])
    end
  end
end

local function current()
  local states = read_all(numbers(ARGV[4]))
  bring(states, numbers(ARGV[5]))
  return states
end

local function decide()
  local states, waits, marks, is_admitted = current(), {}, {}, true
  for place = 1, count do
    local at, state = place * 6 - 5, states[place]
    waits[place] = wait_of(at, state[1], state[2], amounts[shape[at + 1]])
    is_admitted = is_admitted and waits[place] == 0
  end
  if not is_admitted then return answer(0, states, waits) end
  for place = 1, count do
    local at, state = place * 6 - 5, states[place]
    if shape[at] == CONCURRENCY then
      redis.call('ZADD', KEYS[place], string.format('%.0f', now), ARGV[6])
      redis.call('PEXPIRE', KEYS[place], HOUR)
      state[1] = state[1] + 1
    else
      local amount = amounts[shape[at + 1]] * shape[at + 5]
      state[1], state[2] = charged(at, state[1], state[2], amount)
      -- Nothing taken from nothing need not be kept.
      if state[1] > 0 then write(place, at, state[1], state[2]) end
    end
    marks[place] = state[2]
  end
  redis.call('SET', record, ARGV[7] .. '\n' .. packed(marks) .. ARGV[3], 'PX', UNSETTLED)
  return answer(1, states, waits)
end

local function settle()
  local states, holds = read_all({}), ARGV[4]
  if holds == '' then
    local text = redis.call('GET', record)
    if not text then return answer(0, states, {}) end
    redis.call('DEL', record)
    holds = string.sub(text, string.find(text, '\n', 1, true) + 1)
  end
  holds = numbers(holds)
  for place = 1, count do
    local at, state = place * 6 - 5, states[place]
    local metric = shape[at + 1]
    if shape[at] == CONCURRENCY then
      state[1] = state[1] - redis.call('ZREM', KEYS[place], ARGV[6])
    else
      local held = holds[count + metric] * shape[at + 5]
      local used, mark = settled(at, state[1], state[2], held, holds[place], amounts[metric])
      if used ~= state[1] or mark ~= state[2] then write(place, at, used, mark) end
      state[1], state[2] = used, mark
    end
  end
  return answer(1, states, {})
end

if act == 'decide' then return decide() end
if act == 'settle' then return settle() end
return answer(1, current(), {})
