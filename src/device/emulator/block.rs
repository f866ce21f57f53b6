//! The block that a worker runs: which of its threads wait for what, and which goes next. Nothing here
//! switches stacks; `worker` does, on what these functions say.
use super::{
    barrier::Barrier,
    bulk::Stores,
    clocks::Clocks,
    flight::{Flight, Operation},
    hooks::Site,
    schedule::{Pick, Policy, Random, thread_order},
    warp::Warp,
    warpgroup::Products,
};
use std::{
    collections::VecDeque,
    ops::Range,
    thread,
    time::{Duration, Instant},
};

pub(super) const WARP: u32 = 32;

/// What a thread does after it came to a place where threads meet.
pub(super) enum Arrival {
    /// It was the last: all go on.
    Last,
    Waits,
}

#[derive(Clone, Copy)]
pub(super) enum State {
    Unstarted,
    Runs,
    GivesWay,
    AtBarrier {
        id: u32,
        site: Site,
    },
    InWarp {
        mask: u32,
        what: &'static str,
        site: Site,
    },
    AtMbarrier {
        address: usize,
        parity: u32,
        site: Site,
    },
    AtStores {
        site: Site,
    },
    AtProducts {
        site: Site,
    },
    Exited,
}

pub(super) struct Thread {
    pub fiber: u32,
    pub state: State,
}

/// What the worker does next.
pub(super) enum Next {
    StartThreads,
    Resume(u32),
    /// A unit does its work.
    Complete(Operation),
    Finish,
    /// Nothing can run: the threads wait for each other, or poll for what never comes.
    Deadlock,
}

pub(super) struct Block {
    pub threads: Vec<Thread>,
    pub current: u32,
    /// Threads that have not exited.
    pub live: u32,
    pub barriers: [Barrier; 16],
    pub warps: Vec<Warp>,
    pub failure: Option<String>,
    pub clocks: Clocks,
    /// Of each thread.
    pub stores: Vec<Stores>,
    pub products: Vec<Products>,
    /// What each warpgroup has asked for.
    pub registers: Vec<Option<u32>>,
    flight: Flight,
    copies_begun: usize,
    order: Vec<u32>,
    started: usize,
    ready: VecDeque<u32>,
    policy: Policy,
    random: Random,
    /// How often a thread gave way since any thread last got somewhere.
    idle_turns: u64,
    idle_since: Option<Instant>,
    /// How long a block of another worker may be waited for.
    patience: Duration,
    /// How often the current thread could have given way since it last went on.
    kept_turns: u32,
}

/// A thread gives way after so many chances whatever the policy: it may be spinning on a lock.
const KEPT_TURNS_MAX: u32 = 64;

impl Block {
    pub fn new() -> Block {
        let mut random = Random::new(0, 0);
        Block {
            threads: Vec::new(),
            current: 0,
            live: 0,
            barriers: Default::default(),
            warps: Vec::new(),
            failure: None,
            clocks: Clocks::default(),
            stores: Vec::new(),
            products: Vec::new(),
            registers: Vec::new(),
            flight: Flight::default(),
            copies_begun: 0,
            order: Vec::new(),
            started: 0,
            ready: VecDeque::new(),
            policy: Policy::draw(&mut random),
            random,
            idle_turns: 0,
            idle_since: None,
            patience: Duration::ZERO,
            kept_turns: 0,
        }
    }

    /// Makes this block number `index` of a launch, with no thread started.
    pub fn begin(&mut self, threads: u32, seed: u64, index: u64, patience: Duration) {
        self.patience = patience;
        self.random = Random::new(seed, index);
        self.policy = Policy::draw(&mut self.random);
        thread_order(&mut self.random, threads, &mut self.order);
        self.threads.clear();
        self.threads.resize_with(threads as usize, || Thread {
            fiber: 0,
            state: State::Unstarted,
        });
        self.warps.truncate(threads.div_ceil(WARP) as usize);
        self.warps
            .resize_with(threads.div_ceil(WARP) as usize, Warp::default);
        for (i, warp) in self.warps.iter_mut().enumerate() {
            warp.begin(threads - i as u32 * WARP);
        }
        self.barriers.iter_mut().for_each(Barrier::begin);
        self.clocks.begin(threads);
        self.stores.resize_with(threads as usize, Stores::default);
        self.stores.iter_mut().for_each(Stores::begin);
        self.products
            .resize_with(threads as usize, Products::default);
        self.products.iter_mut().for_each(Products::begin);
        self.registers.clear();
        self.flight.begin();
        self.live = threads;
        self.started = 0;
        self.ready.clear();
        self.got_somewhere();
        self.failure = None;
    }

    pub fn next(&mut self) -> Next {
        let unstarted = self.started < self.order.len();
        if unstarted && (self.ready.is_empty() || self.random.hits(self.policy.start_first)) {
            return Next::StartThreads;
        }
        let polls_only = self.idle_turns > 100 * self.threads.len() as u64 + 10_000;
        let threads_can = unstarted || !(self.ready.is_empty() || polls_only);
        let operation = self
            .flight
            .draw(&self.policy, &mut self.random, threads_can);
        if let Some(operation) = operation {
            self.got_somewhere();
            return Next::Complete(operation);
        }
        if polls_only && self.is_out_of_patience() {
            return Next::Deadlock;
        }
        let ready = match self.policy.pick {
            Pick::Newest => self.ready.pop_back(),
            Pick::Oldest => self.ready.pop_front(),
            Pick::Any if self.ready.is_empty() => None,
            Pick::Any => self
                .ready
                .swap_remove_back(self.random.below(self.ready.len())),
        };
        match ready {
            Some(thread) => Next::Resume(thread),
            None if self.live == 0 => Next::Finish,
            None => Next::Deadlock,
        }
    }

    fn got_somewhere(&mut self) {
        self.idle_turns = 0;
        self.idle_since = None;
    }

    /// All threads poll: none of this block will change that, but one of another worker's may.
    fn is_out_of_patience(&mut self) -> bool {
        thread::yield_now();
        self.idle_since.get_or_insert_with(Instant::now).elapsed() >= self.patience
    }

    /// The thread that a fiber with none starts with; `None` if every thread has started.
    pub fn start_one(&mut self, fiber: u32) -> Option<u32> {
        let thread = *self.order.get(self.started)?;
        self.started += 1;
        self.current = thread;
        self.kept_turns = 0;
        self.threads[thread as usize] = Thread {
            fiber,
            state: State::Runs,
        };
        Some(thread)
    }

    /// Whether the fiber whose thread has just exited may start another without asking.
    pub fn runs_straight_on(&self) -> bool {
        self.ready.is_empty() && self.failure.is_none() && self.flight.is_empty()
    }

    pub fn resume(&mut self, thread: u32) -> u32 {
        self.current = thread;
        self.kept_turns = 0;
        let thread = &mut self.threads[thread as usize];
        thread.state = State::Runs;
        thread.fiber
    }

    /// The current thread waits, on `fiber`, which is its own from now on.
    pub fn wait(&mut self, fiber: u32, state: State) {
        self.threads[self.current as usize] = Thread { fiber, state };
    }

    /// Whether the current thread gives way at a place where it need not.
    pub fn gives_way(&mut self) -> bool {
        self.kept_turns += 1;
        let chance = self.policy.give_way;
        let unit_first = self.policy.unit_first == 256 && !self.flight.is_empty();
        self.kept_turns > KEPT_TURNS_MAX || unit_first || (chance > 0 && self.random.hits(chance))
    }

    pub fn copies_at_once(&mut self) -> bool {
        self.random.hits(self.policy.copy_at_once)
    }

    /// Puts the current thread where it will not be picked at once, lest two polling threads starve the rest.
    pub fn give_way(&mut self, fiber: u32) {
        self.idle_turns += 1;
        match self.policy.pick {
            Pick::Newest => self.ready.push_front(self.current),
            Pick::Oldest | Pick::Any => self.ready.push_back(self.current),
        }
        self.wait(fiber, State::GivesWay);
    }

    pub fn wake(&mut self, thread: u32) {
        self.got_somewhere();
        self.ready.push_back(thread);
    }

    /// Wakes those of `threads` that wait as `waits` says.
    pub fn wake_if(&mut self, threads: Range<u32>, waits: impl Fn(&State) -> bool) {
        for t in threads {
            let state = &mut self.threads[t as usize].state;
            if waits(state) {
                *state = State::GivesWay;
                self.wake(t);
            }
        }
    }

    /// A unit will do this some time.
    pub fn issue(&mut self, operation: Operation) {
        self.flight.push(operation, &self.policy);
    }

    /// Copies in flight are told apart by a number.
    pub fn count_copy(&mut self) -> usize {
        self.copies_begun += 1;
        self.copies_begun
    }

    pub fn exit(&mut self) -> Result<(), String> {
        self.got_somewhere();
        self.stores[self.current as usize].check_exit()?;
        self.products[self.current as usize].check_exit()?;
        self.live -= 1;
        self.threads[self.current as usize].state = State::Exited;
        self.exit_warp()?;
        self.exit_barrier();
        Ok(())
    }
}
