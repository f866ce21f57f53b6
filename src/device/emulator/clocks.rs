//! What happened before what, by vector clocks: a thread knows how far every other had come when it
//! last heard of it. `__syncthreads` tells everybody everything, which begins a new epoch and costs
//! nothing; only within an epoch do rows of clocks exist, for the threads that synchronised in it.
use std::collections::HashMap;

/// When a thread did something. The default is before all else.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Moment {
    epoch: u64,
    clock: u32,
    pub thread: u32,
}

#[derive(Default)]
pub(super) struct Clocks {
    /// Whether anybody asks.
    pub on: bool,
    epoch: u64,
    /// Row t: how far thread t knows each thread to have come, where `row_epochs[t]` is this epoch.
    rows: Vec<Vec<u32>>,
    row_epochs: Vec<u64>,
    /// What the last ones to use a barrier or an atomic knew, and in which epoch.
    places: HashMap<usize, (u64, Vec<u32>)>,
}

impl Clocks {
    /// All that was is past.
    pub fn begin(&mut self, threads: u32) {
        self.epoch += 1;
        self.places.clear();
        if self.rows.len() != threads as usize {
            self.rows = vec![Vec::new(); threads as usize];
            self.row_epochs = vec![0; threads as usize];
        }
    }

    pub fn now(&self, thread: u32) -> Moment {
        let t = thread as usize;
        let known = self.row_epochs[t] == self.epoch;
        Moment {
            epoch: self.epoch,
            clock: if known { self.rows[t][t] } else { 1 },
            thread,
        }
    }

    /// Whether `past` is over for certain, as `thread` sees it.
    #[inline]
    pub fn is_before(&self, past: Moment, thread: u32) -> bool {
        let t = thread as usize;
        past.epoch < self.epoch
            || past.thread == thread
            || (self.row_epochs[t] == self.epoch
                && self.rows[t][past.thread as usize] >= past.clock)
    }

    pub fn is_of_this_epoch(&self, past: Moment) -> bool {
        past.epoch == self.epoch
    }

    /// All threads wait for each other.
    pub fn join_all(&mut self) {
        self.epoch += 1;
    }

    /// `threads` wait for each other.
    pub fn join(&mut self, threads: impl Iterator<Item = u32> + Clone) {
        if !self.on {
            return;
        }
        let mut all = vec![0; self.rows.len()];
        for thread in threads.clone() {
            raise(&mut all, self.row(thread));
        }
        for thread in threads {
            self.row(thread).copy_from_slice(&all);
            self.step(thread);
        }
    }

    /// What `thread` has done so far is known to whoever acquires `place` from now on.
    pub fn release(&mut self, thread: u32, place: usize) {
        if !self.on {
            return;
        }
        let (epoch, threads) = (self.epoch, self.rows.len());
        let mut known = self.places.remove(&place).filter(|(e, _)| *e == epoch);
        let (_, clocks) = known.get_or_insert_with(|| (epoch, vec![0; threads]));
        raise(clocks, self.row(thread));
        self.places.extend(known.map(|known| (place, known)));
        self.step(thread);
    }

    pub fn acquire(&mut self, thread: u32, place: usize) {
        if !self.on {
            return;
        }
        let known = self
            .places
            .remove(&place)
            .filter(|(epoch, _)| *epoch == self.epoch);
        if let Some((epoch, clocks)) = known {
            raise(self.row(thread), &clocks);
            self.places.insert(place, (epoch, clocks));
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
    }
}

fn raise(clocks: &mut [u32], to: &[u32]) {
    for (clock, to) in clocks.iter_mut().zip(to) {
        *clock = (*clock).max(*to);
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
}
