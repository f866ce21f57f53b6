//! Who did something and when, and what others know of it: the words that `clocks` speaks.
use std::fmt;

/// Loads and stores on their way at once that are told apart, and the warpgroups a block can have.
const LOADS: usize = 16;
const STORES: usize = 8;
const WARPGROUPS: usize = 8;
pub(super) const UNITS: usize = LOADS + STORES + WARPGROUPS;
const THREADS_MAX: u32 = 1024;

/// A thread, or a unit that works beside them: the copy engine, the tensor cores of a warpgroup.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Actor(pub(super) u32);

impl Actor {
    pub fn thread(thread: u32) -> Actor {
        Actor(thread)
    }
    pub fn load(number: usize) -> Actor {
        Actor(THREADS_MAX + (number % LOADS) as u32)
    }
    pub fn store(number: usize) -> Actor {
        Actor(THREADS_MAX + (LOADS + number % STORES) as u32)
    }
    pub fn warpgroup(warpgroup: u32) -> Actor {
        Actor(THREADS_MAX + (LOADS + STORES) as u32 + warpgroup)
    }
    pub fn unit(self) -> Option<usize> {
        self.0.checked_sub(THREADS_MAX).map(|unit| unit as usize)
    }
    pub fn is_thread(self) -> bool {
        self.0 < THREADS_MAX
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.unit() {
            None => write!(f, "thread {}", self.0),
            Some(unit) if unit < LOADS + STORES => write!(f, "the copy engine"),
            Some(unit) => write!(f, "wgmma of warpgroup {}", unit - LOADS - STORES),
        }
    }
}

/// When an actor did something. The default is before all else.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Moment {
    pub epoch: u64,
    pub clock: u32,
    pub actor: Actor,
}

/// What an actor knew at some moment: how far others had come, threads in `epoch`, units in this block.
#[derive(Clone, Default)]
pub(super) struct Known {
    pub epoch: u64,
    pub threads: Vec<u32>,
    pub units: [u32; UNITS],
}

impl Known {
    pub fn learn(&mut self, other: &Known) {
        raise(&mut self.units, &other.units);
        if other.epoch > self.epoch {
            self.epoch = other.epoch;
            self.threads.clone_from(&other.threads);
        } else if other.epoch == self.epoch {
            self.threads.resize(other.threads.len(), 0);
            raise(&mut self.threads, &other.threads);
        }
    }

    /// Of what a unit did; of nothing where nobody asks.
    pub fn learn_of(&mut self, past: Moment) {
        if let Some(unit) = past.actor.unit() {
            self.units[unit] = self.units[unit].max(past.clock);
        }
    }
}

/// What an actor knows now, borrowed.
pub(super) struct View<'a> {
    pub now: Moment,
    pub epoch: u64,
    /// The block's first epoch.
    pub first: u64,
    pub threads: &'a [u32],
    pub units: &'a [u32; UNITS],
}

impl View<'_> {
    /// Whether `past` is over for certain, as this actor sees it.
    #[inline]
    pub fn has_seen(&self, past: Moment) -> bool {
        if past.actor == self.now.actor || past.epoch < self.first {
            return true;
        }
        match past.actor.unit() {
            Some(unit) => self.units[unit] >= past.clock,
            None if past.epoch != self.epoch => past.epoch < self.epoch,
            None => {
                let known = self.threads.get(past.actor.0 as usize);
                known.is_some_and(|&clock| clock >= past.clock)
            }
        }
    }

    /// Whether it belongs to a block that is gone.
    pub fn is_forgotten(&self, past: Moment) -> bool {
        past.epoch < self.first
    }
}

pub(super) fn raise(clocks: &mut [u32], to: &[u32]) {
    for (clock, to) in clocks.iter_mut().zip(to) {
        *clock = (*clock).max(*to);
    }
}
