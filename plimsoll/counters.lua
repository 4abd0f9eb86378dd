-- The counters of several gateways, decided in one call (LIMITS.md section 1, EXACT.md 30).
--
-- The same arithmetic as plimsoll/contract/windows.py, on the same whole numbers. Lua has only
-- doubles: every sum is ordered so that it stays exact below 2^53. Of such numbers floor and ceiling
-- of a quotient are exact too, since what `/` rounds by is less than one part of the divisor.
--
-- KEYS     one counter a limit, then the record of the decision
-- ARGV[1]  decide | settle | read
-- ARGV[2]  per limit: kind, metric, quota, capacity, period in ms (0: a month), 1 if charged at admission
-- ARGV[3]  what is asked of each metric, or was taken
-- ARGV[4]  per limit the state last seen, (used, mark); to settle without a record, what was held:
--          per limit the quota, then per limit the mark, then the amount of each metric
-- ARGV[5]  per limit what was taken while we were away, (used, mark); or ''
-- ARGV[6]  what the record says before what is held, for a gateway that settles for another
-- Numbers are eight bytes, big-endian, one after the other, and so are states as they are kept
-- (used, mark). Answer: the time in microseconds, whether it is done, then per limit (used, mark, wait).

local BUCKET, WINDOW, CONCURRENCY = 1, 2, 3
local NEVER, UNKNOWN = -1, -2
local BOUND = 9007199254740991
local ANCHOR = 345600
local HOUR = 3600000
local UNSETTLED = 900000
local LONGEST = 31 * 86400000

local function numbers(text)
  local values = {struct.unpack('>' .. string.rep('i8', #text / 8), text)}
  -- The last says where unpacking stopped.
  values[#values] = nil
  return values
end

local function packed(values)
  return struct.pack('>' .. string.rep('i8', #values), unpack(values))
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local shape, amounts = numbers(ARGV[2]), numbers(ARGV[3])
local count = #shape / 6
local record = KEYS[count + 1]
-- Of each limit, changed in place.
local used, marks, waits = {}, {}, {}

-- ---- arithmetic ----

local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max

local function month_end(seconds)
  -- The civil calendar from days; years begin in March, so that a leap day is a year's last.
  local days = floor(seconds / 86400) + 719468
  local era = floor(days / 146097)
  local doe = days - era * 146097
  local yoe = doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)
  yoe = floor(yoe / 365)
  local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
  local month = floor((5 * doy + 2) / 153) + 1
  local first = floor((153 * month + 2) / 5)
  if month == 12 then
    -- February is followed by the first day of the next such year.
    yoe = yoe + 1
    first = 0
    if yoe == 400 then
      era, yoe = era + 1, 0
    end
  end
  local next_doe = yoe * 365 + floor(yoe / 4) - floor(yoe / 100) + first
  return (era * 146097 + next_doe - 719468) * 86400
end

local function window_end(unit)
  local seconds = floor(now / 1000)
  if unit == 0 then return month_end(seconds) * 1000 end
  local period = unit / 1000
  return (seconds - math.fmod(seconds - ANCHOR, period) + period) * 1000
end

local function leaked(quota, used, mark)
  if now > mark then
    return max(0, used - quota * (now - mark)), now
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
    return max(0, mark - now + ceil(excess / quota))
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
    return min(BOUND, used + amount * shape[at + 4]), mark
  end
  if now < mark then return min(BOUND, used + amount), mark end
  return min(BOUND, amount), window_end(shape[at + 4])
end

local function settled(at, used, mark, hold, actual)
  local held, held_mark = hold.amount, hold.mark
  local unused = held - actual
  if shape[at] == BUCKET then
    used, mark = leaked(shape[at + 2], used, mark)
    unused = unused * shape[at + 4]
    if unused > 0 then
      -- The quota may have changed since: the higher one never gives back too much.
      local refill = max(shape[at + 2], hold.quota) * (mark - held_mark)
      unused = min(unused, max(0, held * shape[at + 4] - refill))
    end
    return min(BOUND, max(0, used - unused)), mark
  end
  if unused < 0 then return charged(at, used, mark, -unused) end
  if mark ~= held_mark or now >= mark then return used, mark end
  return max(0, used - unused), mark
end

-- A counter is kept while it can still refuse somebody, and an hour more.
local function kept_ms(at, used)
  local unit = shape[at + 4]
  if unit == 0 then unit = LONGEST end
  if shape[at] == BUCKET and shape[at + 2] > 0 then
    unit = max(unit, ceil(used / shape[at + 2]))
  end
  return min(BOUND, unit + HOUR)
end

local function write(place, at)
  redis.call('SET', KEYS[place], struct.pack('>i8i8', used[place], marks[place]),
    'PX', kept_ms(at, used[place]))
end

local function in_flight(place)
  redis.call('ZREMRANGEBYSCORE', KEYS[place], '-inf', now - UNSETTLED)
  return redis.call('ZCARD', KEYS[place])
end

-- What a counter that is not there stands at: as last seen, if it was lost.
local function read_all(seen)
  local found = redis.call('MGET', unpack(KEYS, 1, count))
  for place = 1, count do
    local at = place * 6 - 5
    used[place], marks[place] = 0, 0
    if shape[at] == CONCURRENCY then
      used[place] = in_flight(place)
    elseif found[place] then
      used[place], marks[place] = struct.unpack('>i8i8', found[place])
    elseif seen ~= '' then
      used[place], marks[place] = struct.unpack('>i8i8', seen, place * 16 - 15)
      -- Another server's clock may have been ahead: that must not stop a bucket's refill.
      if shape[at] == BUCKET then marks[place] = min(marks[place], now) end
    end
  end
end

-- What one gateway took while it could not tell us comes on top.
local function bring(own)
  for place = 1, count do
    local at, more, mark = place * 6 - 5, own[place * 2 - 1], own[place * 2]
    if more > 0 and shape[at] == BUCKET then
      used[place], marks[place] = leaked(shape[at + 2], used[place], marks[place])
      used[place] = min(BOUND, used[place] + more)
      write(place, at)
    elseif more > 0 and shape[at] == WINDOW and mark > now then
      if marks[place] ~= mark then used[place], marks[place] = 0, mark end
      used[place] = min(BOUND, used[place] + more)
      write(place, at)
    end
  end
end

local function read_current()
  read_all(ARGV[4])
  if ARGV[5] ~= '' then bring(numbers(ARGV[5])) end
end

local function answer(done)
  local values = {time[1] * 1000000 + time[2], done}
  for place = 1, count do
    local at = place * 3
    values[at], values[at + 1], values[at + 2] = used[place], marks[place], waits[place] or 0
  end
  return packed(values)
end

-- ---- the three acts ----

local function decide()
  read_current()
  local is_admitted = true
  for place = 1, count do
    local at = place * 6 - 5
    waits[place] = wait_of(at, used[place], marks[place], amounts[shape[at + 1]])
    is_admitted = is_admitted and waits[place] == 0
  end
  if not is_admitted then return answer(0) end
  local quotas = {}
  for place = 1, count do
    local at = place * 6 - 5
    quotas[place] = shape[at + 2]
    if shape[at] == CONCURRENCY then
      redis.call('ZADD', KEYS[place], now, record)
      redis.call('PEXPIRE', KEYS[place], HOUR)
      used[place] = used[place] + 1
    else
      local amount = amounts[shape[at + 1]] * shape[at + 5]
      local before = used[place]
      used[place], marks[place] = charged(at, before, marks[place], amount)
      -- Nothing taken from nothing need not be kept.
      if before > 0 or used[place] > 0 then write(place, at) end
    end
  end
  redis.call('SET', record, ARGV[6] .. packed(quotas) .. packed(marks) .. ARGV[3], 'PX', UNSETTLED)
  return answer(1)
end

local function settle()
  read_all('')
  local holds = ARGV[4]
  if holds == '' then
    holds = redis.call('GET', record)
    if not holds then return answer(0) end
    redis.call('DEL', record)
  end
  holds = numbers(string.sub(holds, -(2 * count + 6) * 8))
  for place = 1, count do
    local at = place * 6 - 5
    local metric = shape[at + 1]
    if shape[at] == CONCURRENCY then
      used[place] = used[place] - redis.call('ZREM', KEYS[place], record)
    else
      local before, mark = used[place], marks[place]
      local hold = {
        amount = holds[2 * count + metric] * shape[at + 5],
        mark = holds[count + place],
        quota = holds[place],
      }
      -- Who took what was held leaves it as it is.
      if hold.amount ~= amounts[metric] then
        used[place], marks[place] = settled(at, before, mark, hold, amounts[metric])
        if used[place] ~= before or marks[place] ~= mark then write(place, at) end
      end
    end
  end
  return answer(1)
end

if ARGV[1] == 'decide' then return decide() end
if ARGV[1] == 'settle' then return settle() end
read_current()
return answer(1)
