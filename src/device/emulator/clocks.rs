//! What happened before what, by vector clocks: whoever acts knows how far every other had come when it
//! last heard of it. `__syncthreads` tells all threads everything, which begins a new epoch and costs
//! little; only within an epoch do rows of clocks exist, for the threads that synchronised in it. The
//! units that work beside threads know of no epochs: their clocks are few, and kept for the whole block.
use super::moment::{Actor, Known, Moment, UNITS, View, raise};
use std::collections::HashMap;

#[derive(Default)]
pub(super) struct Clocks {
    /// Whether anybody asks.
    pub on: bool,
    epoch: u64,
    first: u64,
    /// Row t: how far thread t knows each thread to have come, where `row_epochs[t]` is this epoch.
    rows: Vec<Vec<u32>>,
    row_epochs: Vec<u64>,
    /// How often a thread has learned something or has come further.
    changes: Vec<u64>,
    /// What the last ones to use a barrier or an atomic knew.
    places: HashMap<usize, Known>,
    /// How far each unit has come, and how far each thread knows it to have come.
    units: [u32; UNITS],
    known_units: Vec<[u32; UNITS]>,
    /// When each thread last made its writes visible to units.
    fences: Vec<(u64, u32)>,
}

impl Clocks {
    /// All that was is past.
    pub fn begin(&mut self, threads: u32) {
        let threads = threads as usize;
        self.epoch += 1;
        self.first = self.epoch;
        self.places.clear();
        if self.rows.len() != threads {
            self.rows = vec![Vec::new(); threads];
            self.row_epochs = vec![0; threads];
            self.changes = vec![0; threads];
            self.known_units = vec![[0; UNITS]; threads];
            self.fences = vec![(0, 0); threads];
        }
        if self.units_are_used() {
            self.units = [0; UNITS];
            self.known_units.fill([0; UNITS]);
        }
    }

    fn units_are_used(&self) -> bool {
        self.units != [0; UNITS]
    }

    pub fn now(&self, thread: u32) -> Moment {
        let t = thread as usize;
        let known = self.row_epochs[t] == self.epoch;
        Moment {
            epoch: self.epoch,
            clock: if known { self.rows[t][t] } else { 1 },
            actor: Actor::thread(thread),
        }
    }

    #[inline]
    pub fn view(&self, thread: u32) -> View<'_> {
        let t = thread as usize;
        let known = self.row_epochs[t] == self.epoch;
        View {
            now: self.now(thread),
            epoch: self.epoch,
            first: self.first,
            threads: if known { &self.rows[t] } else { &[] },
            units: &self.known_units[t],
        }
    }

    /// The next moment of a unit, whose work was begun by who knew what is `known`.
    pub fn unit_view<'a>(&mut self, unit: Actor, known: &'a Known) -> View<'a> {
        let clock = &mut self.units[unit.unit().expect("a unit")];
        *clock += 1;
        let now = Moment {
            epoch: self.epoch,
            clock: *clock,
            actor: unit,
        };
        View {
            now,
            epoch: known.epoch,
            first: self.first,
            threads: &known.threads,
            units: &known.units,
        }
    }

    pub fn is_of_this_epoch(&self, past: Moment) -> bool {
        past.epoch == self.epoch
    }

    /// All threads wait for each other.
    pub fn join_all(&mut self) {
        self.epoch += 1;
        if self.on && self.units_are_used() {
            let mut all = [0; UNITS];
            self.known_units.iter().for_each(|u| raise(&mut all, u));
            self.known_units.fill(all);
        }
    }

    /// `threads` wait for each other.
    pub fn join(&mut self, threads: impl Iterator<Item = u32> + Clone) {
        if !self.on {
            return;
        }
        let mut all = vec![0; self.rows.len()];
        let mut units = [0; UNITS];
        for thread in threads.clone() {
            raise(&mut all, self.row(thread));
            raise(&mut units, &self.known_units[thread as usize]);
        }
        for thread in threads {
            self.row(thread).copy_from_slice(&all);
            self.known_units[thread as usize] = units;
            self.step(thread);
        }
    }

    /// What `thread` knows, itself included; what it does from now on is not.
    pub fn known(&mut self, thread: u32) -> Known {
        if !self.on {
            return Known::default();
        }
        let known = Known {
            epoch: self.epoch,
            threads: self.row(thread).clone(),
            units: self.known_units[thread as usize],
        };
        self.step(thread);
        known
    }

    /// Another number whenever `known` would say something else.
    pub fn version(&self, thread: u32) -> (u64, u64) {
        (self.epoch, self.changes[thread as usize])
    }

    /// What `thread` has done so far is known to whoever acquires `place` from now on.
    pub fn release(&mut self, thread: u32, place: usize) {
        if self.on {
            let known = self.known(thread);
            self.release_known(&known, place);
        }
    }

    pub fn release_known(&mut self, known: &Known, place: usize) {
        if self.on {
            self.places.entry(place).or_default().learn(known);
        }
    }

    pub fn acquire(&mut self, thread: u32, place: usize) {
        if !self.on {
            return;
        }
        if let Some(known) = self.places.remove(&place) {
            self.learn(thread, &known);
            self.places.insert(place, known);
        }
    }

    fn learn(&mut self, thread: u32, known: &Known) {
        raise(&mut self.known_units[thread as usize], &known.units);
        self.changes[thread as usize] += 1;
        // Of an earlier epoch all threads know everything.
        if known.epoch == self.epoch {
            raise(self.row(thread), &known.threads);
        }
    }

    /// `thread` has waited for what a unit did.
    pub fn acquire_unit(&mut self, thread: u32, past: Moment) {
        if let Some(unit) = past.actor.unit() {
            let known = &mut self.known_units[thread as usize][unit];
            *known = (*known).max(past.clock);
            self.changes[thread as usize] += 1;
        }
    }

    /// `thread` makes what it has written visible to units (fence.proxy.async).
    pub fn fence(&mut self, thread: u32) {
        if self.on {
            self.step(thread);
            let t = thread as usize;
            self.fences[t] = (self.epoch, self.rows[t][t]);
        }
    }

    /// Whether a unit may see what a thread wrote in the `past`.
    pub fn is_fenced(&self, past: Moment) -> bool {
        match past.actor.unit() {
            Some(_) => true,
            None => self.fences[past.actor.0 as usize] > (past.epoch, past.clock),
        }
    }

    pub fn forget(&mut self, place: usize) {
        self.places.remove(&place);
    }

    fn row(&mut self, thread: u32) -> &mut Vec<u32> {
        let t = thread as usize;
        let row = &mut self.rows[t];
        if self.row_epochs[t] != self.epoch {
            self.row_epochs[t] = self.epoch;
            row.clear();
            row.resize(self.row_epochs.len(), 0);
            row[t] = 1;
        }
        row
    }

    fn step(&mut self, thread: u32) {
        self.row(thread)[thread as usize] += 1;
        self.changes[thread as usize] += 1;
    }
}

#[cfg(test)]
impl Clocks {
    /// Switched on, and at the beginning of a block.
    pub fn of(threads: u32) -> Clocks {
        let mut clocks = Clocks {
            on: true,
            ..Clocks::default()
        };
        clocks.begin(threads);
        clocks
    }

    fn is_before(&self, past: Moment, thread: u32) -> bool {
        self.view(thread).has_seen(past)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_barrier_orders_all() {
        let mut clocks = Clocks::of(4);
        let then = clocks.now(0);
        assert!(clocks.is_before(then, 0) && !clocks.is_before(then, 1));
        clocks.join_all();
        assert!(clocks.is_before(then, 1));
    }

    #[test]
    fn a_partial_join_orders_its_threads_only() {
        let mut clocks = Clocks::of(4);
        let then = clocks.now(0);
        clocks.join([0, 1].into_iter());
        assert!(clocks.is_before(then, 1) && !clocks.is_before(then, 2));
        assert!(
            !clocks.is_before(clocks.now(0), 1),
            "what comes after the join is not covered"
        );
        clocks.join([1, 2].into_iter());
        assert!(clocks.is_before(then, 2), "what one knows, it passes on");
    }

    #[test]
    fn a_place_orders_its_users_one_way() {
        let mut clocks = Clocks::of(4);
        let (released, reader) = (clocks.now(0), clocks.now(1));
        clocks.release(0, 7);
        let after = clocks.now(0);
        clocks.acquire(1, 7);
        assert!(clocks.is_before(released, 1));
        assert!(!clocks.is_before(after, 1) && !clocks.is_before(reader, 0));
    }

    /// A barrier of threads says nothing of what a unit still does; waiting for the unit does.
    #[test]
    fn units_are_waited_for_by_name() {
        let mut clocks = Clocks::of(2);
        let mut known = clocks.known(0);
        let copied = clocks.unit_view(Actor::load(0), &known).now;
        clocks.join_all();
        assert!(!clocks.is_before(copied, 1));
        known.learn_of(copied);
        clocks.release_known(&known, 7);
        clocks.acquire(0, 7);
        assert!(clocks.is_before(copied, 0) && !clocks.is_before(copied, 1));
        clocks.join_all();
        assert!(clocks.is_before(copied, 1), "threads pass it on");
    }
}
