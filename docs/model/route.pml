/* SPDX-License-Identifier: ISC */
/*
 * The routing protocol: snapshot, claims, barrier, hold and flip.
 *
 * One user is moved from the old server to the new one (hold, barrier, flip)
 * while consumers deliver mail to that user, mapd is killed and restarted, a
 * consumer is killed, another is stopped for ever, and the machine may be
 * rebooted. README.md beside this file says what is proved, and which C file
 * each step stands for.
 *
 * Shared memory is not sequentially consistent: a store waits in a buffer
 * until the process Memory carries it out, and only a fence waits for that.
 * Files, locks and the database are changed by system calls, at once.
 *
 * An epoch stands for the whole entry: kind[epoch] never changes once it is
 * committed. Epoch 0 is "no entry", for which the domain's default (the old
 * server) holds.
 */

/* Steps of a counterexample in words; the search itself does without. */
#ifdef TALK
#define SAY(text, value) printf(text, value)
#define SAY2(text, one, two) printf(text, one, two)
#else
#define SAY(text, value) skip
#define SAY2(text, one, two) skip
#endif

/* -DREACH=FLIP_CLEAR and so on must fail: the search does get there. */
#ifdef REACH
#define PASSES(place) assert(place != REACH)
#else
#define PASSES(place) skip
#endif
#define FLIP_CLEAR 1
#define FLIP_AMBIGUOUS 2
#define BARRIER_LATE 3
#define FLIP_REFUSED 4
#define DOT_TO_NEW 5
#define RECHECK_DIFFERS 6
#define FILE_AGAIN 7
#define STATE_UNKNOWN 8
#define RESULT_REPEATED 9

/* Bounds; the runner sets them. */
#ifndef CONSUMERS
#define CONSUMERS 2
#endif
#ifndef MESSAGES
#define MESSAGES 1 /* look-ups per consumer */
#endif
#ifndef CRASHES
#define CRASHES 1 /* of mapd */
#endif
#ifndef KILLS
#define KILLS 1 /* of the first consumer */
#endif
#ifndef STOPS
#define STOPS 1 /* of the last consumer */
#endif
#ifndef REBOOTS
#define REBOOTS 0
#endif
#ifndef HOLDS
#define HOLDS 1 /* tries of the flipper */
#endif
#ifndef REBUILDS
#define REBUILDS 0 /* changes published as a new data file */
#endif

#ifndef OFFLINE
#define OFFLINE 0 /* changes by maptool while no mapd runs */
#endif

#define EPOCHS (2 * HOLDS + OFFLINE + 2)
#define FILES (CRASHES + REBOOTS + REBUILDS + 2)

mtype : entry = { OLD, HELD, NEW };
mtype : request = { NOTHING, HOLD, BARRIER, FLIP };
mtype : reply = { NONE, DONE, REFUSED, LATE, CLEAR, AMBIGUOUS, BROKEN };

/* A claim or a pending store of one, as one word. */
#define FREE 0
#define COMMITTING(e) (32 + (e))
#define UNANSWERED(e) (64 + (e))
#define IS_COMMITTING(w) ((w) >= 32 && (w) < 64)
#define IS_UNANSWERED(w) ((w) >= 64)
#define CLAIM_EPOCH(w) ((w) & 31)
#define EMPTY 255   /* no store pending */
#define UNKNOWN 255 /* the look-up's fourth answer */

/* --- Durable: the database ------------------------------------------------ */

bit own;                        /* the user had an entry of its own from the start */
byte db_epoch;                  /* the committed entry */
mtype : entry kind[EPOCHS + 1]; /* what each committed epoch says */
byte recorded_hold;             /* result kept for a repeated request */
bit recorded_flip;

/* --- Shared memory on tmpfs ----------------------------------------------- */

byte control;        /* sequence in map.ctl, 0: never published */
bit invalid;         /* the mark in the same word: not to be used */
byte slot[FILES];    /* map.<sequence>: the user's slot, 0: empty */
bit complete[FILES]; /* its mark "filled" */
byte oldest = 1;     /* older files are unlinked */
byte claim[CONSUMERS];

/* Stores that mapd and the consumers have issued and nobody else sees yet. */
byte pending_slot = EMPTY;
byte pending_file;
byte pending_complete;
byte pending_control;
byte pending_claim[CONSUMERS] = EMPTY;

/* --- The directory of claim files and their locks --------------------------- */

bit linked[CONSUMERS];
bit locked[CONSUMERS];
bit known[CONSUMERS]; /* files announced to this mapd, for the mutation NO_SCAN */

/* --- Requests ---------------------------------------------------------------- */

mtype : request asked = NOTHING;
mtype : reply answer = NONE;
byte held_epoch; /* the flipper's argument */
mtype : reply verdict = NONE;

/* --- Faults and time --------------------------------------------------------- */

bit mapd_dead;
bit mapd_serves;
bit born[CONSUMERS];
bit gone[CONSUMERS]; /* killed, or stopped for ever */
bit rebooted;
bit expired; /* the deadline of the present hold has passed */
bit armed;   /* mapd's timer, for the mutation DEADLINE_FORGOTTEN */

/* --- Ghosts: what the assertions look at ----------------------------------- */

byte wire[CONSUMERS]; /* 1 + epoch of a dot that waits for its answer */
byte lost;            /* 1 + oldest epoch of a dot whose answer never came */
byte fenced;          /* the highest epoch a barrier has closed */

#define SERVER(e) (kind[e] == NEW)

inline lose(c)
{
    if
    :: wire[c] && (lost == 0 || wire[c] < lost) -> lost = wire[c]
    :: else
    fi;
    wire[c] = 0
}

/* --- Memory ------------------------------------------------------------------ */

#define MAPD_DRAINED (pending_slot == EMPTY && pending_complete == 0 && pending_control == 0)

#ifdef NO_FENCE_MAPD
#define FENCE_MAPD true
#else
#define FENCE_MAPD MAPD_DRAINED
#endif

#ifdef NO_FENCE_CONSUMER
#define FENCE_CONSUMER true
#else
#define FENCE_CONSUMER (pending_claim[me] == EMPTY)
#endif

#ifdef NO_RELEASE
#define AFTER_SLOT true
#define AFTER_FILE true
#else
#define AFTER_SLOT (pending_slot == EMPTY)
#define AFTER_FILE (pending_slot == EMPTY && pending_complete == 0)
#endif

inline flush_slot()
{
    SAY2("memory: the slot in map.%d now holds epoch %d\n", pending_file, pending_slot);
    slot[pending_file] = pending_slot;
    pending_slot = EMPTY;
    pending_file = 0
}

inline flush_complete()
{
    SAY("memory: map.%d is now marked complete\n", pending_complete);
    complete[pending_complete] = 1;
    pending_complete = 0
}

inline flush_control()
{
    SAY("memory: map.ctl now says sequence %d\n", pending_control);
    control = pending_control;
    invalid = 0;
    pending_control = 0
}

inline flush_claim(c)
{
    SAY2("memory: the claim of consumer %d now reads %d (32+e committing, 64+e unanswered)\n", c, pending_claim[c]);
    claim[c] = pending_claim[c];
    pending_claim[c] = EMPTY
}

proctype Memory()
{
end:
    do
    :: atomic { pending_slot != EMPTY -> flush_slot() }
    :: atomic { pending_complete && AFTER_SLOT -> flush_complete() }
    :: atomic { pending_control && AFTER_FILE -> flush_control() }
    :: atomic { pending_claim[0] != EMPTY -> flush_claim(0) }
#if CONSUMERS > 1
    :: atomic { pending_claim[1] != EMPTY -> flush_claim(1) }
#endif
    od
}

/* --- mapd ---------------------------------------------------------------------- */

/* Builds the next data file and points the control file at it. */
inline publish_file(epoch)
{
    atomic {
        MAPD_DRAINED ->
        file = control + 1;
        SAY2("mapd: builds map.%d with epoch %d\n", file, epoch);
        slot[file] = 0;
        complete[file] = 0;
        pending_file = file;
        pending_slot = epoch;
        pending_complete = file;
        pending_control = file
    }
}

inline publish_slot(epoch)
{
    atomic {
        pending_slot == EMPTY ->
        SAY2("mapd: publishes in map.%d epoch %d\n", file, epoch);
        pending_file = file;
        pending_slot = epoch
    }
}

inline publish(epoch)
{
    if
    :: publish_slot(epoch)
    :: atomic { rebuilds < REBUILDS -> rebuilds++; publish_file(epoch) }
    fi
}

/* One transaction: the entry, and the results kept for repeated requests. */
inline commit(what)
{
    atomic {
        if
        :: what == HELD -> recorded_hold = next; armed = 1
        :: what == NEW ->
            /* No dot can still reach the old server, unless the barrier said so. */
            assert(wire[0] == 0);
#if CONSUMERS > 1
            assert(wire[1] == 0);
#endif
            assert(lost == 0 || verdict == AMBIGUOUS);
            if
            :: verdict == CLEAR -> PASSES(FLIP_CLEAR)
            :: else -> PASSES(FLIP_AMBIGUOUS)
            fi;
            recorded_flip = 1
        :: what == OLD -> expired = 0
        fi;
        SAY2("mapd: commits %e as epoch %d\n", kind[next], next);
        db_epoch = next
    }
}

/* A change is checked and committed in one transaction, then published. */
inline begin(what)
{
    next = db_epoch + 1;
    kind[next] = what;
    /* A flip after an expired hold fails. */
    assert(what != NEW || kind[db_epoch] == HELD && !expired);
#ifdef PUBLISH_BEFORE_COMMIT
    publish(next)
#else
    commit(what)
#endif
}

inline finish(what)
{
#ifdef PUBLISH_BEFORE_COMMIT
    commit(what);
#else
    publish(next);
#endif
    next = 0
}

inline reply(r)
{
    answer = r;
    SAY2("flipper: its %e is answered %e\n", asked, answer);
    asked = NOTHING
}

/* The claim file of consumer i, looked at with its lock tried. */
#define OLDER_COMMITTING (IS_COMMITTING(claim[i]) && CLAIM_EPOCH(claim[i]) < held_epoch)
#define OLDER_UNANSWERED (IS_UNANSWERED(claim[i]) && CLAIM_EPOCH(claim[i]) < held_epoch)

inline say_verdict(v)
{
    /* S3: whatever the verdict, nobody waits for an answer under an older
     * epoch; and 'clear' leaves nothing behind that may still be stored. */
    assert(wire[0] == 0 || wire[0] > held_epoch);
#if CONSUMERS > 1
    assert(wire[1] == 0 || wire[1] > held_epoch);
#endif
    assert(v == AMBIGUOUS || lost == 0 || lost > held_epoch);
    fenced = held_epoch;
    reply(v)
}

#ifdef NO_SCAN
#define LISTED(c) known[c]
#else
#define LISTED(c) linked[c]
#endif

#ifdef BARRIER_BLOCKS
#define BARRIER_ENDS false
#else
#define BARRIER_ENDS expired
#endif

inline clear_barrier()
{
    i = 0;
    ambiguous = 0;
    listed[0] = 0;
#if CONSUMERS > 1
    listed[1] = 0
#endif
}

/* What readdir() shows for certain is what was there when it began. */
inline list_claims()
{
    listed[0] = LISTED(0);
#if CONSUMERS > 1
    listed[1] = LISTED(1);
#endif
    SAY2("mapd: barrier for epoch %d, sees the file of consumer 0: %d\n", held_epoch, listed[0]);
#ifndef NO_BOOT_MARK
    ambiguous = rebooted
#endif
}

inline await_claims()
{
    do
    :: atomic { i < CONSUMERS && !listed[i] -> i++ }
    :: atomic {
        i < CONSUMERS && listed[i] && OLDER_COMMITTING && !locked[i] ->
        ambiguous = 1;
#ifdef REAP_DEAD
        linked[i] = 0;
        claim[i] = FREE;
#endif
        i++
       }
    :: atomic { i < CONSUMERS && listed[i] && OLDER_UNANSWERED -> ambiguous = 1; i++ }
    :: atomic {
        i < CONSUMERS && listed[i] && !OLDER_COMMITTING && !OLDER_UNANSWERED ->
        if
        :: !locked[i] && claim[i] == FREE -> /* locked, empty, removed */
            SAY("mapd: removes the claim file of consumer %d\n", i);
            linked[i] = 0
        :: else
        fi;
        i++
       }
    :: atomic { i < CONSUMERS && BARRIER_ENDS -> PASSES(BARRIER_LATE); reply(LATE); clear_barrier(); break }
    :: atomic {
        i == CONSUMERS ->
        if
        :: ambiguous -> say_verdict(AMBIGUOUS)
        :: else -> say_verdict(CLEAR)
        fi;
        clear_barrier();
        break
       }
    od
}

#ifdef NO_CAS
#define FLIP_ALLOWED (!expired)
#elif defined(NO_DEADLINE_CHECK)
#define FLIP_ALLOWED (db_epoch == held_epoch)
#else
#define FLIP_ALLOWED (db_epoch == held_epoch && !expired)
#endif

#ifdef DEADLINE_FORGOTTEN
#define TIMER_RUNS armed
#else
#define TIMER_RUNS true
#endif

proctype Mapd()
{
    byte file;     /* the data file it writes to */
    byte rebuilds; /* bound only */
    byte next;
    byte i;
    bit ambiguous;
    bit listed[CONSUMERS];
    bit is_published;

restart:
    {
#ifndef SERVE_BEFORE_PUBLISH
        publish_file(db_epoch);
#endif
        mapd_serves = 1;
end_serve:
        do
#ifdef SERVE_BEFORE_PUBLISH
        :: atomic { !is_published -> publish_file(db_epoch); is_published = 1 }
#endif
        :: atomic { control > oldest -> oldest = control }

        /* A repeated request gets its recorded result. */
        :: atomic { asked == HOLD && recorded_hold -> held_epoch = recorded_hold; reply(DONE) }
        :: atomic { asked == FLIP && recorded_flip -> PASSES(RESULT_REPEATED); reply(DONE) }

        :: atomic { asked == HOLD && !recorded_hold && kind[db_epoch] == OLD -> begin(HELD) };
            atomic { finish(HELD); held_epoch = recorded_hold; reply(DONE) }

        :: atomic { asked == BARRIER && db_epoch != held_epoch -> reply(LATE) }
        :: atomic { asked == BARRIER && db_epoch == held_epoch && FENCE_MAPD -> list_claims() };
            await_claims()

        :: atomic { asked == FLIP && !recorded_flip && !(FLIP_ALLOWED) -> PASSES(FLIP_REFUSED); reply(REFUSED) }
        :: atomic { asked == FLIP && !recorded_flip && FLIP_ALLOWED -> begin(NEW) };
            atomic { finish(NEW); reply(DONE) }

        /* The deadline. */
        :: atomic { kind[db_epoch] == HELD && expired && TIMER_RUNS -> begin(OLD) };
            atomic { finish(OLD) }
        od
    } unless { mapd_dead };
    atomic {
        file = 0;
        next = 0;
        is_published = 0;
        clear_barrier();
        mapd_dead = 0
    }
    goto restart
}

/* --- The flipper ------------------------------------------------------------- */

/* Asks until an answer comes: a connection that breaks says nothing. */
inline ask(what)
{
    do
    :: atomic { asked = what; answer = NONE };
        atomic { answer != NONE && asked == NOTHING };
        if
        :: answer == BROKEN
        :: answer != BROKEN -> break
        fi
    od
}

/* May be killed before any request. */
proctype Flipper()
{
    byte tries;

    do
    :: tries < HOLDS ->
        atomic { tries++; recorded_hold = 0; verdict = NONE };
        ask(HOLD);
        if
        :: true
        :: goto end_flipper
        fi;
#ifdef NO_BARRIER
        verdict = CLEAR;
#else
        ask(BARRIER);
        if
        :: answer == LATE -> goto next_try
        :: answer != LATE -> verdict = answer
        fi;
        if
        :: true
        :: goto end_flipper
        fi;
#endif
        ask(FLIP);
        if
        :: answer == DONE -> break
        :: answer != DONE
        fi;
next_try:
        skip
    :: break
    od;
end_flipper:
    atomic { verdict = NONE; answer = NONE; held_epoch = 0; recorded_hold = 0 }
}

/* --- Consumers --------------------------------------------------------------- */

#ifdef NO_SCAN
#define ANNOUNCE(c) known[c] = mapd_serves
#else
#define ANNOUNCE(c) skip
#endif

#ifdef NO_ABSENT_CLAIM
#define MUST_CLAIM (decided != 0)
#else
#define MUST_CLAIM true
#endif

#define CONTROL_WORD (invalid -> 0 : control)

#ifdef RECHECK_OLD_FILE
#define RECHECK_FILE mapped
#else
#define RECHECK_FILE CONTROL_WORD
#endif

/* The first step of a look-up: which file? The second: what does its slot say? */
inline read_slot(found)
{
    if
    :: sequence == 0 ->
#ifdef NO_VALID_CHECK
        found = 0;
        assert(!own);
#else
        PASSES(STATE_UNKNOWN);
        found = UNKNOWN;
#endif
    :: sequence != 0 && sequence != mapped && sequence < oldest -> found = UNKNOWN /* no such file */
    :: sequence != 0 && sequence != mapped && sequence >= oldest && !complete[sequence] -> found = UNKNOWN
    :: sequence != 0 && (sequence == mapped || sequence >= oldest && complete[sequence]) ->
        mapped = sequence;
        found = slot[mapped];
        /* Never 'not found' for a user that exists. */
        assert(found != 0 || !own)
    fi;
    sequence = 0
}

inline send_dot(e)
{
    SAY2("consumer %d: sends the dot under epoch %d\n", me, e);
    /* Only what was committed is acted on, nothing goes to the server that
     * was left, and nothing passes a barrier. */
    assert(e <= db_epoch);
    assert(SERVER(e) == SERVER(db_epoch));
    assert(e >= fenced);
    if
    :: SERVER(e) -> PASSES(DOT_TO_NEW)
    :: else
    fi;
    wire[me] = e + 1
}

proctype Consumer(byte me)
{
    byte left = MESSAGES;
    byte mapped;
    byte sequence;
    byte decided;
    byte again;

    {
        do
        :: atomic { SAY("consumer %d: creates its claim file\n", me); linked[me] = 1; born[me] = 1; ANNOUNCE(me) };
            atomic {
                locked[me] = 1;
#ifndef NO_LINK_CHECK
                if
                :: linked[me]
                :: !linked[me] -> PASSES(FILE_AGAIN); locked[me] = 0 /* removed before the lock was taken */
                fi;
#endif
                if
                :: locked[me] -> break
                :: !locked[me]
                fi
            }
        od;
        do
        :: atomic { left > 0 -> left--; sequence = CONTROL_WORD };
            atomic {
                pending_claim[me] == EMPTY ->
                read_slot(decided);
                SAY2("consumer %d: decides on epoch %d (255: unknown state)\n", me, decided);
                if
                :: decided == UNKNOWN || kind[decided] == HELD -> goto next_message /* 451, 450 */
                :: decided != UNKNOWN && kind[decided] != HELD && MUST_CLAIM ->
                    pending_claim[me] = COMMITTING(decided)
                :: decided != UNKNOWN && kind[decided] != HELD && !(MUST_CLAIM)
                fi
            };
            atomic { FENCE_CONSUMER -> sequence = RECHECK_FILE };
#ifdef NO_RECHECK
            sequence = 0;
#else
            atomic {
                read_slot(again);
                SAY2("consumer %d: reads again, epoch %d\n", me, again);
                if
                :: again != decided -> PASSES(RECHECK_DIFFERS); goto give_up
                :: again == decided -> again = 0
                fi
            };
#endif
            atomic { send_dot(decided) };
            if
            :: atomic {
                /* The server has stored it and its answer was read. */
                pending_claim[me] == EMPTY ->
                SAY("consumer %d: has the answer\n", me);
                wire[me] = 0;
                pending_claim[me] = FREE
               }
            :: atomic {
                pending_claim[me] == EMPTY ->
                SAY("consumer %d: loses the connection before the answer\n", me);
                lose(me);
#ifdef FORGET_AMBIGUOUS
                pending_claim[me] = FREE
#else
                pending_claim[me] = UNANSWERED(decided);
                break /* the model's one claim is taken: no further dot */
#endif
               }
            fi;
            goto next_message;
give_up:
            atomic { pending_claim[me] == EMPTY -> pending_claim[me] = FREE };
next_message:
            atomic { decided = 0; again = 0 }
        :: left == 0 -> break
        od
    } unless { gone[me] };
    /* Nothing the process knew matters from here on. */
    atomic { left = 0; mapped = 0; sequence = 0; decided = 0; again = 0 }
}

/* --- Faults and time ----------------------------------------------------------- */

/* Who dies leaves its last stores undone or done, never half visible: a store
 * that was done is one that Memory carried out before. */
inline kill_consumer(c)
{
    gone[c] = 1;
    pending_claim[c] = EMPTY;
    lose(c);
    locked[c] = 0
}

inline kill_mapd()
{
    pending_slot = EMPTY;
    pending_file = 0;
    pending_complete = 0;
    pending_control = 0;
    mapd_dead = 1;
    mapd_serves = 0;
    armed = 0;
#ifdef NO_SCAN
    known[0] = 0;
#if CONSUMERS > 1
    known[1] = 0;
#endif
#endif
    if
    :: asked != NOTHING -> reply(BROKEN)
    :: else
    fi
}

inline reboot_consumer(c)
{
    if
    :: born[c] -> kill_consumer(c)
    :: else
    fi;
    linked[c] = 0;
    claim[c] = FREE
}

proctype Faults()
{
    byte crashes;
    byte kills;
    byte stops;
    byte reboots;
    byte offline;

end:
    do
    :: atomic { crashes < CRASHES && !mapd_dead -> crashes++; SAY("mapd is killed (%d)\n", crashes); kill_mapd() }
    :: atomic { kills < KILLS && born[0] && !gone[0] -> kills++; SAY("consumer 0 is killed (%d)\n", kills); kill_consumer(0) }
    :: atomic { stops < STOPS && born[CONSUMERS - 1] && !gone[CONSUMERS - 1] ->
        stops++; SAY("consumer %d is stopped for ever\n", CONSUMERS - 1); gone[CONSUMERS - 1] = 1 }
    :: atomic { offline < OFFLINE && mapd_dead && kind[db_epoch] == OLD ->
        offline++;
        SAY("maptool changes the database while no mapd runs (%d)\n", offline);
#ifdef SEQUENCE_RESTARTS
        control = 0;
#endif
        invalid = 1;
        kind[db_epoch + 1] = OLD;
        db_epoch++
       }
    :: atomic { reboots < REBOOTS && !mapd_dead ->
        reboots++;
        SAY("the machine is rebooted (%d)\n", reboots);
        kill_mapd();
        control = 0;
        invalid = 0;
        oldest = 1;
        reboot_consumer(0);
#if CONSUMERS > 1
        reboot_consumer(1);
#endif
        rebooted = 1
       }
    od
}

proctype Clock()
{
end:
    do
    :: atomic { kind[db_epoch] == HELD && !expired -> SAY("clock: the deadline of epoch %d passes\n", db_epoch); expired = 1 }
    od
}

/* A hold always ends: when nobody can move any more, none is left. */
proctype Judge()
{
    timeout -> assert(kind[db_epoch] != HELD)
}

init {
    atomic {
        kind[0] = OLD;
        kind[1] = OLD;
        if
        :: own = 1
#ifndef OWN_ENTRY
        :: own = 0
#endif
        fi;
        db_epoch = own;
        run Memory();
        run Mapd();
        run Flipper();
        run Consumer(0);
#if CONSUMERS > 1
        run Consumer(1);
#endif
        run Faults();
        run Clock();
        run Judge()
    }
}
