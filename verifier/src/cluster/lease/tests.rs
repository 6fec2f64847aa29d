//! The protocol against a model of the API server: two runs and two sweeps, a server's clock that steps, machines whose own
//! clocks are nowhere used, pauses of any length, requests and answers that are lost, objects that others touch or delete.

use proptest::prelude::*;

use super::*;

/// A Lease of the model.
#[derive(Clone, Debug)]
struct Held {
    version: u64,
    holder: &'static str,
    /// By the server's clock.
    written: i64,
    /// In truth.
    really: i64,
}

/// The namespace of one run.
#[derive(Clone, Debug)]
struct Space {
    lease: Option<Held>,
    made: i64,
    really: i64,
    /// It is gone for whoever wants to write into it.
    removed: bool,
    /// Somebody deleted it by hand.
    by_hand: bool,
}

/// The server, and the time that really passes, in seconds.
#[derive(Debug)]
struct World {
    really: i64,
    /// How far the server's clock is off, and how far it was set forward in all.
    off: i64,
    forward: i64,
    version: u64,
    spaces: [Space; 2],
}

impl World {
    fn clock(&self) -> i64 {
        self.really + self.off
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.clock()).unwrap()
    }

    fn write(&mut self, at: usize, holder: &'static str) -> Sign {
        self.version += 1;
        self.spaces[at].lease = Some(Held {
            version: self.version,
            holder,
            written: self.clock(),
            really: self.really,
        });
        self.sign(at).unwrap()
    }

    fn sign(&self, at: usize) -> Option<Sign> {
        let held = self.spaces[at].lease.as_ref()?;
        Some(Sign {
            version: held.version.to_string(),
            holder: held.holder.to_owned(),
            written: Some(Timestamp::from_second(held.written).unwrap()),
        })
    }

    fn has(&self, at: usize, version: &str) -> Option<bool> {
        let held = self.spaces[at].lease.as_ref()?;
        Some(held.version.to_string() == version)
    }

    fn trace(&self, at: usize) -> Option<Trace> {
        let space = &self.spaces[at];
        (!space.removed).then(|| Trace {
            made: Some(Timestamp::from_second(space.made).unwrap()),
            ending: false,
            sign: self.sign(at),
        })
    }
}

/// A run, from the moment at which its namespace is there.
#[derive(Debug)]
struct Run {
    /// Absent: its Lease is still to be made.
    keeper: Option<Keeper>,
    /// It could not make its Lease: it ends.
    failed: bool,
    /// When its rest is over, by its own even clock.
    rests_until: i64,
    /// Not scheduled: stopped, suspended, or killed for good.
    paused: bool,
}

/// A sweep of one namespace.
#[derive(Debug)]
struct Sweep {
    of: usize,
    sweeper: Sweeper,
    watches_until: Option<i64>,
    looked_at: i64,
    /// What the server's clock was set forward until then.
    forward: i64,
}

/// What may happen next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(i64),
    SetClock(i64),
    /// The run takes a step; its request may be lost, or the answer.
    Run(usize, Lost),
    Pause(usize, bool),
    /// A sweeper looks at a namespace.
    Look(usize, usize),
    Sweep(usize, Lost),
    /// Somebody annotates the Lease, deletes it, or deletes the namespace.
    Touch(usize),
    DeleteLease(usize),
    DeleteSpace(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Nothing,
    Request,
    Answer,
}

fn step() -> impl Strategy<Value = Step> {
    let lost = prop_oneof![8 => Just(Lost::Nothing), 1 => Just(Lost::Request), 1 => Just(Lost::Answer)];
    prop_oneof![
        6 => prop_oneof![3 => 1_i64..8, 1 => 8_i64..400].prop_map(Step::Pass),
        1 => (-4000_i64..4000).prop_map(Step::SetClock),
        12 => (0..2_usize, lost.clone()).prop_map(|(run, lost)| Step::Run(run, lost)),
        1 => (0..2_usize, any::<bool>()).prop_map(|(run, paused)| Step::Pause(run, paused)),
        4 => (0..2_usize, 0..2_usize).prop_map(|(by, of)| Step::Look(by, of)),
        8 => (0..2_usize, lost).prop_map(|(by, lost)| Step::Sweep(by, lost)),
        1 => (0..2_usize).prop_map(Step::Touch),
        1 => (0..2_usize).prop_map(Step::DeleteLease),
        1 => (0..2_usize).prop_map(Step::DeleteSpace),
    ]
}

const HOLDERS: [&str; 2] = ["a@jumpbox", "b@jumpbox"];

#[derive(Debug)]
struct Model {
    world: World,
    runs: [Run; 2],
    sweeps: [Option<Sweep>; 2],
    /// How many Leases were given up by a sweep.
    given_up: usize,
}

impl Model {
    fn new() -> Self {
        let space = || Space {
            lease: None,
            made: 1_000_000,
            really: 1_000_000,
            removed: false,
            by_hand: false,
        };
        let run = || Run {
            keeper: None,
            failed: false,
            rests_until: 0,
            paused: false,
        };
        Self {
            world: World {
                really: 1_000_000,
                off: 0,
                forward: 0,
                version: 0,
                spaces: [space(), space()],
            },
            runs: [run(), run()],
            sweeps: [None, None],
            given_up: 0,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Pass(seconds) => self.pass(seconds),
            Step::SetClock(by) => {
                self.world.off += by;
                self.world.forward += by.max(0);
            }
            Step::Run(at, lost) => self.run(at, lost),
            Step::Pause(at, paused) => self.runs[at].paused = paused,
            Step::Look(by, of) => {
                self.sweeps[by] = self.world.trace(of).map(|trace| Sweep {
                    of,
                    sweeper: Sweeper::new(&trace, self.world.now()),
                    watches_until: None,
                    looked_at: self.world.really,
                    forward: self.world.forward,
                });
            }
            Step::Sweep(by, lost) => self.sweep(by, lost),
            Step::Touch(at) => {
                if let Some(held) = &self.world.spaces[at].lease {
                    let (holder, really) = (held.holder, held.really);
                    self.world.write(at, holder);
                    // Not the run's own sign.
                    self.world.spaces[at].lease.as_mut().unwrap().really = really;
                }
            }
            Step::DeleteLease(at) => self.world.spaces[at].lease = None,
            Step::DeleteSpace(at) => {
                self.world.spaces[at].removed = true;
                self.world.spaces[at].by_hand = true;
                self.world.spaces[at].lease = None;
            }
        }
    }

    /// Time passes in seconds, so that no run that is scheduled and reaches the server misses its beat.
    fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.world.really += 1;
            for at in 0..2 {
                if self.runs[at].keeper.is_some() {
                    self.run(at, Lost::Nothing);
                }
            }
        }
    }

    fn run(&mut self, at: usize, lost: Lost) {
        if self.runs[at].paused || self.runs[at].failed {
            return;
        }
        let Some(mut keeper) = self.runs[at].keeper.take() else {
            self.make(at, lost);
            return;
        };
        let now = self.world.really;
        let ask = keeper.next();
        let told = match &ask {
            KeeperAsk::Rest if now < self.runs[at].rests_until => None,
            KeeperAsk::Rest => Some(KeeperTold::Rested),
            KeeperAsk::Stop => None,
            _ if lost == Lost::Request => Some(KeeperTold::Silent),
            ask => {
                let told = self.serve(at, ask);
                Some(if lost == Lost::Answer {
                    KeeperTold::Silent
                } else {
                    told
                })
            }
        };
        if let Some(told) = told {
            keeper.told(told);
            if keeper.next() == KeeperAsk::Rest {
                self.runs[at].rests_until = now + i64::try_from(BEAT.as_secs()).unwrap();
            }
        }
        self.runs[at].keeper = Some(keeper);
    }

    fn make(&mut self, at: usize, lost: Lost) {
        if lost == Lost::Request || self.world.spaces[at].removed || self.world.spaces[at].lease.is_some() {
            self.runs[at].failed = true;
            return;
        }
        let sign = self.world.write(at, HOLDERS[at]);
        if lost == Lost::Answer {
            self.runs[at].failed = true;
        } else {
            self.runs[at].keeper = Some(Keeper::new(&sign));
        }
    }

    fn serve(&mut self, at: usize, ask: &KeeperAsk) -> KeeperTold {
        match ask {
            KeeperAsk::Renew(version) => match self.world.has(at, version) {
                None => KeeperTold::Missing,
                Some(false) => KeeperTold::Conflict,
                Some(true) => {
                    let holder = self.world.spaces[at].lease.as_ref().unwrap().holder;
                    assert_eq!(holder, HOLDERS[at], "a Lease that was given up is never renewed");
                    KeeperTold::Sign(self.world.write(at, holder))
                }
            },
            KeeperAsk::Read => self.world.sign(at).map_or(KeeperTold::Missing, KeeperTold::Sign),
            KeeperAsk::Rest | KeeperAsk::Stop => unreachable!(),
        }
    }

    fn sweep(&mut self, by: usize, lost: Lost) {
        let Some(mut sweep) = self.sweeps[by].take() else {
            return;
        };
        let ask = sweep.sweeper.next();
        let told = match &ask {
            SweeperAsk::End(_) => return,
            SweeperAsk::Watch => {
                let watch = i64::try_from(WATCH.as_secs()).unwrap();
                let until = *sweep.watches_until.get_or_insert(self.world.really + watch);
                (self.world.really >= until).then_some(SweeperTold::Done)
            }
            _ if lost == Lost::Request => Some(SweeperTold::Failed),
            ask => {
                let told = self.carry_out(&sweep, ask);
                Some(if lost == Lost::Answer {
                    SweeperTold::Failed
                } else {
                    told
                })
            }
        };
        if let Some(told) = told {
            sweep.sweeper.told(told);
        }
        self.sweeps[by] = Some(sweep);
    }

    fn carry_out(&mut self, sweep: &Sweep, ask: &SweeperAsk) -> SweeperTold {
        let at = sweep.of;
        match ask {
            SweeperAsk::GiveUp(version) => match self.world.has(at, version) {
                None => SweeperTold::Missing,
                Some(false) => SweeperTold::Conflict,
                Some(true) => self.give_up(sweep),
            },
            SweeperAsk::Take if self.world.spaces[at].removed => SweeperTold::Missing,
            SweeperAsk::Take if self.world.spaces[at].lease.is_some() => SweeperTold::Conflict,
            SweeperAsk::Take => self.give_up(sweep),
            SweeperAsk::Remove => {
                let space = &mut self.world.spaces[at];
                let held = space.lease.as_ref().is_some_and(|held| !held.holder.is_empty());
                assert!(
                    !held || space.by_hand,
                    "no namespace goes whose Lease a run holds"
                );
                space.removed = true;
                space.lease = None;
                SweeperTold::Done
            }
            SweeperAsk::Watch | SweeperAsk::End(_) => unreachable!(),
        }
    }

    /// The heart: whose Lease is given up has given no sign for as long as it takes.
    fn give_up(&mut self, sweep: &Sweep) -> SweeperTold {
        let space = &self.world.spaces[sweep.of];
        let last = space.lease.as_ref().map_or(space.really, |held| held.really);
        let silent = self.world.really - last;
        let watch = i64::try_from(WATCH.as_secs()).unwrap();
        assert!(last <= sweep.looked_at, "it gave a sign while it was watched");
        assert!(silent >= watch, "swept {silent} s after its last sign");
        let dead = i64::try_from(DEAD_AFTER.as_secs()).unwrap();
        assert!(
            silent + sweep.forward >= dead,
            "dead after {silent} s, though the server's clock was set forward by {} s only",
            sweep.forward
        );
        self.world.write(sweep.of, "");
        self.given_up += 1;
        SweeperTold::Done
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_run_that_can_still_write_is_never_swept(steps in prop::collection::vec(step(), 1..150)) {
        let mut model = Model::new();
        for step in steps {
            model.take(step);
        }
        // However it came: a run that is scheduled again and reaches the server knows within some beats what became of it.
        for run in &mut model.runs {
            run.paused = false;
        }
        model.pass(40);
        for ((run, space), holder) in model.runs.iter().zip(&model.world.spaces).zip(HOLDERS) {
            let Some(keeper) = &run.keeper else { continue };
            let mine = !space.removed && space.lease.as_ref().is_some_and(|held| held.holder == holder);
            prop_assert_eq!(keeper.next() != KeeperAsk::Stop, mine);
        }
    }

    #[test]
    fn a_dead_run_is_swept_by_the_first_start_after_five_minutes(silent in 300_i64..4000, set in -100_i64..4000) {
        let mut model = Model::new();
        model.take(Step::Run(0, Lost::Nothing));
        model.take(Step::SetClock(set));
        model.take(Step::Pass(20));
        model.take(Step::Pause(0, true));
        model.take(Step::Pass(silent));
        model.take(Step::Look(0, 0));
        model.take(Step::Sweep(0, Lost::Nothing));
        model.take(Step::Pass(15));
        for _ in 0..4 {
            model.take(Step::Sweep(0, Lost::Nothing));
        }
        prop_assert_eq!(model.sweeps[0].as_ref().map(|sweep| sweep.sweeper.next()), None);
        prop_assert!(model.world.spaces[0].removed && model.given_up == 1);
    }
}

#[test]
fn a_run_that_was_stopped_for_seventy_seconds_is_alive_and_one_of_five_minutes_is_not() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let trace = |sign: Option<&str>| Trace {
        made: Some(at("2026-11-23T09:00:00Z")),
        ending: false,
        sign: sign.map(|holder| Sign {
            version: "7".to_owned(),
            holder: holder.to_owned(),
            written: Some(at("2026-11-23T09:00:00Z")),
        }),
    };
    let next = |sign: Option<&str>, now: &str| Sweeper::new(&trace(sign), at(now)).next();
    for sign in [Some("u@h"), None] {
        assert_eq!(next(sign, "2026-11-23T09:01:10Z"), SweeperAsk::End(Swept::Alive));
        assert_eq!(next(sign, "2026-11-23T09:04:59Z"), SweeperAsk::End(Swept::Alive));
        assert_eq!(next(sign, "2026-11-23T09:05:00Z"), SweeperAsk::Watch);
        // A clock that ran ahead is no reason to delete anything.
        assert_eq!(next(sign, "2026-11-23T08:59:00Z"), SweeperAsk::End(Swept::Alive));
    }
    assert_eq!(next(Some(""), "2026-11-23T09:00:01Z"), SweeperAsk::Remove);
    let mut old = trace(Some("u@h"));
    old.sign.as_mut().unwrap().written = None;
    let kept = Sweeper::new(&old, at("2026-11-23T19:00:00Z")).next();
    assert_eq!(
        kept,
        SweeperAsk::End(Swept::Alive),
        "who says nothing of the time is not known to be dead"
    );
}
