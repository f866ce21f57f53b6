//! Races on shared memory: two accesses to a byte by different threads, one of them a write, and
//! nothing that orders them. Found whatever the schedule made of them. It forgets readers where there
//! are many, so it may miss a race, and never invents one.
use super::{
    clocks::Clocks,
    hooks::At,
    moment::{Moment, View},
    shared::WINDOW_BYTES,
};

const CELL_BYTES: usize = 4;
const REMEMBERED: usize = 6;

#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Access {
    pub when: Moment,
    pub at: At,
    /// Bytes of the cell; none where nothing is remembered.
    bytes: u8,
    pub writes: bool,
}

type Cell = [Access; REMEMBERED];

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Fault {
    /// Nothing orders the two.
    Unordered,
    /// A thread wrote, and a unit reads, which sees memory through a proxy of its own.
    Unfenced,
}

/// What is wrong between an access and a `former` one, which touched the same memory.
pub(super) struct Race {
    pub offset: usize,
    pub former: Access,
    pub fault: Fault,
}

#[derive(Default)]
pub(super) struct Races {
    /// One for each four bytes of the window.
    cells: Vec<Cell>,
    turn: usize,
}

impl Races {
    /// Before the first access.
    pub fn begin(&mut self) {
        self.cells
            .resize(WINDOW_BYTES / CELL_BYTES, Cell::default());
    }

    /// `thread` accesses `bytes` bytes of shared memory at `offset`.
    #[inline]
    pub fn access(
        &mut self,
        clocks: &Clocks,
        thread: u32,
        place: (usize, usize),
        writes: bool,
        at: At,
    ) -> Result<(), Race> {
        self.access_as(clocks, &clocks.view(thread), place, writes, at)
    }

    /// Whoever sees what is in `view` accesses `bytes` bytes of shared memory at `offset`.
    #[inline]
    pub fn access_as(
        &mut self,
        clocks: &Clocks,
        view: &View,
        (offset, bytes): (usize, usize),
        writes: bool,
        at: At,
    ) -> Result<(), Race> {
        let end = offset + bytes;
        for cell in offset / CELL_BYTES..end.div_ceil(CELL_BYTES) {
            let start = cell * CELL_BYTES;
            let (first, last) = (
                offset.max(start) - start,
                end.min(start + CELL_BYTES) - start,
            );
            let bytes = (1u8 << last) - (1u8 << first);
            let access = Access {
                when: view.now,
                at,
                bytes,
                writes,
            };
            self.turn = (self.turn + 1) % REMEMBERED;
            remember(&mut self.cells[cell], clocks, view, access, self.turn).map_err(
                |(former, fault)| Race {
                    offset: start + first,
                    former,
                    fault,
                },
            )?;
        }
        Ok(())
    }
}

/// Puts `access` in the place of one that it makes superfluous, of one long past, or of any.
#[inline]
fn remember(
    cell: &mut Cell,
    clocks: &Clocks,
    view: &View,
    access: Access,
    any: usize,
) -> Result<(), (Access, Fault)> {
    let (mut free, mut past) = (None, None);
    for (i, former) in cell.iter_mut().enumerate() {
        if former.bytes == 0 || view.is_forgotten(former.when) {
            former.bytes = 0;
            free = free.or(Some(i));
            continue;
        }
        let is_before = view.has_seen(former.when);
        if former.bytes & access.bytes != 0 && (former.writes || access.writes) {
            if !is_before {
                return Err((*former, Fault::Unordered));
            }
            let by_unit = !access.when.actor.is_thread();
            if by_unit && !access.writes && !clocks.is_fenced(former.when) {
                return Err((*former, Fault::Unfenced));
            }
        }
        let covered = former.bytes & !access.bytes == 0 && (access.writes || !former.writes);
        if covered && is_before {
            former.bytes = 0;
            free = free.or(Some(i));
        } else if former.when.actor.is_thread() && !clocks.is_of_this_epoch(former.when) {
            // A write is kept longer: a unit may yet read it.
            past = if former.writes {
                past.or(Some(i))
            } else {
                Some(i)
            };
        }
    }
    cell[free.or(past).unwrap_or(any)] = access;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::moment::Actor, *};

    #[test]
    fn neighbours_in_a_cell_do_not_race() {
        let mut clocks = Clocks::of(4);
        let mut races = Races::default();
        races.begin();
        for thread in 0..4 {
            assert!(
                races
                    .access(
                        &clocks,
                        thread,
                        (64 + thread as usize, 1),
                        true,
                        At::default()
                    )
                    .is_ok()
            );
        }
        let race = races
            .access(&clocks, 0, (65, 2), false, At::default())
            .expect_err("a race");
        assert_eq!(
            (race.offset, race.former.when.actor),
            (65, Actor::thread(1))
        );
        clocks.join_all();
        assert!(
            races
                .access(&clocks, 0, (64, 4), false, At::default())
                .is_ok()
        );
    }

    /// A read does not make the write before it superfluous: a third thread may race with that.
    #[test]
    fn a_write_is_kept_behind_a_read() {
        let mut clocks = Clocks::of(3);
        let mut races = Races::default();
        races.begin();
        assert!(
            races
                .access(&clocks, 0, (64, 4), true, At::default())
                .is_ok()
        );
        clocks.join([0, 1].into_iter());
        assert!(
            races
                .access(&clocks, 1, (64, 4), false, At::default())
                .is_ok()
        );
        assert!(
            races
                .access(&clocks, 2, (64, 4), false, At::default())
                .is_err()
        );
    }

    /// What threads wrote must be fenced before a unit reads it, whichever barriers came between.
    #[test]
    fn a_unit_sees_only_what_was_fenced() {
        for fenced in [false, true] {
            let mut clocks = Clocks::of(2);
            let mut races = Races::default();
            races.begin();
            let write = races.access(&clocks, 0, (64, 4), true, At::default());
            assert!(write.is_ok());
            if fenced {
                clocks.fence(0);
            }
            clocks.join_all();
            let known = clocks.known(1);
            let view = clocks.unit_view(Actor::load(0), &known);
            let read = races.access_as(&clocks, &view, (64, 4), false, At::default());
            assert_eq!(
                read.err().map(|race| race.fault),
                (!fenced).then_some(Fault::Unfenced)
            );
        }
    }
}
