"""The habits of the organisations of the demo: steady, bursty, around the clock, growing, idle."""

from examples.demo_data.habits import EVENING, OFFICE, Burst, Habit, Use

MINUTE, HOUR, DAY = 60, 3600, 86_400

_CHARTS = Use("import", "fable-5", 1, 3_000, 1_500, 24_000)
_FILM = Use("render", "fable-5", 1, 34_000, 900, 2_000)
_REPORT = Use("nightly", "opus-5", 1, 18_000, 2_400, 8_000)
_SWARM = Use("swarm", "fable-5", 1, 3_000, 2_000, 32_000)

HABITS = (
    # Steady by day, with an import twice a day that runs into a minute's limit.
    Habit(
        org="tidewater",
        a_day=900,
        hours=OFFICE,
        weekend=0.25,
        uses=(
            Use("production", "sonnet-5", 62, 3_200, 500, 2_000),
            Use("production", "haiku-4.5", 22, 900, 150, 1_000),
            Use("production before", "sonnet-5", 4, 3_200, 500, 2_000),
            Use("office", "opus-5", 9, 6_000, 900, 4_000),
            Use("staging", "haiku-4.5", 2, 700, 120, 500),
            Use("laptop", "haiku-4.5", 0.5, 500, 90, 500),
            Use("partner", "sonnet-5", 3, 2_000, 300, 1_000),
        ),
        bursts=(Burst(12 * HOUR, 20 * MINUTE, 2, 84, _CHARTS),),
    ),
    # Around the clock: near its week's end on Sundays, and near its month's by the last days.
    Habit(
        org="nightwatch",
        a_day=1500,
        uses=(
            Use("crawler", "sonnet-5", 70, 2_600, 1_250, 4_000),
            Use("papers", "opus-5", 12, 2_800, 1_400, 4_000),
            Use("crawler", "haiku-4.5", 18, 1_500, 1_100, 2_000),
        ),
    ),
    Habit(
        org="saltmarsh",
        a_day=650,
        hours=EVENING,
        weekend=1.7,
        uses=(
            Use("dialogue", "haiku-4.5", 60, 1_200, 260, 800),
            Use("dialogue before", "haiku-4.5", 6, 1_200, 260, 800),
            Use("moderation", "haiku-4.5", 34, 400, 40, 200),
        ),
    ),
    # One report each night, and nothing else.
    Habit(org="fathom", bursts=(Burst(DAY, 5 * HOUR, 25, 420, _REPORT),)),
    Habit(
        org="harbour",
        a_day=420,
        hours=OFFICE,
        weekend=0.05,
        uses=(Use("records", "opus-5", 1, 4_800, 700, 3_000),),
    ),
    Habit(
        org="sextant",
        a_day=180,
        hours=EVENING,
        weekend=0.6,
        uses=(Use("tutor", "sonnet-5", 1, 1_800, 420, 2_000),),
    ),
    # Nothing for six days, then a film's worth within minutes.
    Habit(org="lanternfish", bursts=(Burst(7 * DAY, 20 * HOUR, 9, 300, _FILM),)),
    Habit(
        org="kelp",
        a_day=850,
        hours=OFFICE,
        weekend=0.8,
        growth=24,
        uses=(
            Use("assistant", "sonnet-5", 70, 2_400, 480, 2_000),
            Use("search", "haiku-4.5", 30, 800, 100, 500),
        ),
    ),
    Habit(
        org="brightwork",
        a_day=45,
        weekend=4,
        hours=OFFICE,
        uses=(Use("shop", "haiku-4.5", 1, 900, 200, 1_000),),
    ),
    # Stopped one day, and has not been heard since.
    Habit(
        org="mole",
        a_day=70,
        begins=24,
        ends=19,
        uses=(Use("transcripts", "sonnet-5", 1, 5_000, 800, 4_000),),
    ),
    # Takes what it can get, until it is suspended; its keys go on trying.
    Habit(
        org="barnacle",
        a_day=160,
        begins=29,
        ends=2,
        uses=(_SWARM,),
        bursts=(Burst(4 * HOUR, 50 * MINUTE, 4, 60, _SWARM),),
    ),
    Habit(
        org="gullwing",
        a_day=190,
        begins=5.7,
        growth=12,
        uses=(Use("routes", "haiku-4.5", 1, 600, 150, 500),),
    ),
)
