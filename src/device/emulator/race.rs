//! Races on shared memory: two accesses to a byte by different threads, one of them a write, and
//! nothing that orders them. Found whatever the schedule made of them. It forgets readers where there
//! are many, so it may miss a race, and never invents one.
use super::{
    clocks::{Clocks, Moment},
    shared::WINDOW_BYTES,
};

const CELL_BYTES: usize = 4;
const REMEMBERED: usize = 6;

#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Access {
    pub when: Moment,
    /// The instruction behind it.
    pub at: usize,
    /// Bytes of the cell.
    bytes: u8,
    pub writes: bool,
}

type Cell = [Access; REMEMBERED];

/// An access that nothing orders after `former`, which touched the same memory.
pub(super) struct Race {
    pub offset: usize,
    pub former: Access,
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
        (offset, bytes): (usize, usize),
        writes: bool,
        at: usize,
    ) -> Result<(), Race> {
        let when = clocks.now(thread);
        let end = offset + bytes;
        for cell in offset / CELL_BYTES..end.div_ceil(CELL_BYTES) {
            let start = cell * CELL_BYTES;
            let (first, last) = (
                offset.max(start) - start,
                end.min(start + CELL_BYTES) - start,
            );
            let bytes = (1u8 << last) - (1u8 << first);
            let access = Access {
                when,
                at,
                bytes,
                writes,
            };
            self.turn = (self.turn + 1) % REMEMBERED;
            remember(&mut self.cells[cell], clocks, access, self.turn).map_err(|former| Race {
                offset: start + first,
                former,
            })?;
        }
        Ok(())
    }
}

/// Puts `access` in the place of one that it makes superfluous, of one long past, or of any.
#[inline]
fn remember(cell: &mut Cell, clocks: &Clocks, access: Access, any: usize) -> Result<(), Access> {
    let mut place = None;
    for (i, former) in cell.iter().enumerate() {
        if !clocks.is_of_this_epoch(former.when) {
            place = place.or(Some(i));
            continue;
        }
        let overlaps = former.bytes & access.bytes != 0;
        let is_before = clocks.is_before(former.when, access.when.thread);
        if overlaps && (former.writes || access.writes) && !is_before {
            return Err(*former);
        }
        let covered = former.bytes & !access.bytes == 0 && (access.writes || !former.writes);
        if covered && is_before {
            place = Some(i);
        }
    }
    cell[place.unwrap_or(any)] = access;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_a_cell_do_not_race() {
        let mut clocks = Clocks::of(4);
        let mut races = Races::default();
        races.begin();
        for thread in 0..4 {
            assert!(
                races
                    .access(&clocks, thread, (64 + thread as usize, 1), true, 0)
                    .is_ok()
            );
        }
        let race = races
            .access(&clocks, 0, (65, 2), false, 0)
            .expect_err("a race");
        assert_eq!((race.offset, race.former.when.thread), (65, 1));
        clocks.join_all();
        assert!(races.access(&clocks, 0, (64, 4), false, 0).is_ok());
    }

    /// A read does not make the write before it superfluous: a third thread may race with that.
    #[test]
    fn a_write_is_kept_behind_a_read() {
        let mut clocks = Clocks::of(3);
        let mut races = Races::default();
        races.begin();
        assert!(races.access(&clocks, 0, (64, 4), true, 0).is_ok());
        clocks.join([0, 1].into_iter());
        assert!(races.access(&clocks, 1, (64, 4), false, 0).is_ok());
        assert!(races.access(&clocks, 2, (64, 4), false, 0).is_err());
    }
}
