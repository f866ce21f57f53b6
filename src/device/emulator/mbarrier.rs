//! mbarriers: eight bytes of shared memory that count arrivals of threads and bytes of the copy engine.
//! The phase ends when none are missing; who waits names the phase by its parity.
use super::{
    block::State,
    copy_engine::Load,
    hooks::Site,
    worker::{self, Worker},
};
use std::fmt;

/// What such a word holds; how the hardware packs it is its own affair, and so is this.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Mbarrier {
    /// Arrivals that this phase still waits for, and that each begins with.
    pending: u32,
    expected: u32,
    /// Bytes announced less bytes copied: may be below zero for a while.
    bytes: i32,
    /// Of the phase that is not complete.
    parity: u32,
}

const COUNT_BITS: u32 = 20;
const COUNT_MAX: u32 = (1 << COUNT_BITS) - 1;
const BYTES_MAX: i32 = COUNT_MAX as i32;
/// The word's highest bits; fresh memory has other ones.
const TAG: u64 = 0b10;

impl Mbarrier {
    fn unpack(word: u64) -> Option<Mbarrier> {
        let count = |shift: u32| (word >> shift) as u32 & COUNT_MAX;
        let bytes = (word >> (2 * COUNT_BITS)) as u32 & ((1 << 21) - 1);
        (word >> 62 == TAG).then_some(Mbarrier {
            pending: count(0),
            expected: count(COUNT_BITS),
            bytes: (bytes << 11) as i32 >> 11,
            parity: (word >> 61) as u32 & 1,
        })
    }

    fn pack(self) -> u64 {
        let bytes = u64::from(self.bytes as u32 & ((1 << 21) - 1));
        u64::from(self.pending)
            | u64::from(self.expected) << COUNT_BITS
            | bytes << (2 * COUNT_BITS)
            | u64::from(self.parity) << 61
            | TAG << 62
    }

    /// The next phase, if this one is complete.
    fn settled(self) -> (Mbarrier, bool) {
        let is_complete = self.pending == 0 && self.bytes == 0;
        let next = Mbarrier {
            pending: self.expected,
            parity: self.parity ^ 1,
            ..self
        };
        (if is_complete { next } else { self }, is_complete)
    }
}

impl fmt::Display for Mbarrier {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Mbarrier {
            pending,
            expected,
            bytes,
            parity,
        } = self;
        write!(
            f,
            "{pending} of {expected} arrivals and {bytes} bytes missing in a phase of parity {parity}"
        )
    }
}

impl Worker {
    /// Where in the window the mbarrier at `address` is.
    pub fn mbarrier_offset(&self, address: usize) -> Result<usize, String> {
        let offset = self.shared.offset(address).filter(|offset| offset % 8 == 0);
        match offset {
            Some(offset) if self.shared.contains(offset, 8) => Ok(offset),
            _ => Err("an mbarrier is eight bytes of shared memory, aligned to eight".into()),
        }
    }

    fn mbarrier(&self, offset: usize) -> Result<Mbarrier, String> {
        Mbarrier::unpack(self.shared.word(offset)).ok_or_else(|| {
            let place = self.shared.place(offset);
            format!("{place}: no mbarrier is there, or none yet")
        })
    }

    fn init_mbarrier(&mut self, address: usize, arrivals: u32, site: Site) -> Result<(), String> {
        if arrivals == 0 || arrivals > COUNT_MAX {
            return Err(format!(
                "an mbarrier for {arrivals} arrivals: 1 to {COUNT_MAX}"
            ));
        }
        let offset = self.mbarrier_offset(address)?;
        self.check_race(self.block.current, offset, 8, true, site.into())?;
        let fresh = Mbarrier {
            pending: arrivals,
            expected: arrivals,
            bytes: 0,
            parity: 0,
        };
        self.block.clocks.forget(address);
        self.shared.set_word(offset, fresh.pack());
        Ok(())
    }

    /// The current thread arrives, and announces `bytes` bytes.
    fn arrive(&mut self, address: usize, bytes: u32, site: Site) -> Result<(), String> {
        let offset = self.mbarrier_offset(address)?;
        let mut barrier = self.mbarrier(offset)?;
        self.check_race(self.block.current, offset, 8, false, site.into())?;
        if barrier.pending == 0 {
            let place = self.shared.place(offset);
            let Mbarrier { expected, .. } = barrier;
            return Err(format!(
                "{place}: more than {expected} arrivals at the mbarrier in one phase"
            ));
        }
        barrier.pending -= 1;
        barrier.bytes = barrier.bytes.saturating_add_unsigned(bytes);
        self.block.clocks.release(self.block.current, address);
        self.settle(offset, barrier)
    }

    /// The copy engine has copied all of `load`.
    pub fn complete_bytes(&mut self, load: &Load) -> Result<(), String> {
        let offset = self.mbarrier_offset(load.barrier)?;
        let mut barrier = self.mbarrier(offset)?;
        barrier.bytes -= load.bytes() as i32;
        self.settle(offset, barrier)
    }

    fn settle(&mut self, offset: usize, barrier: Mbarrier) -> Result<(), String> {
        if barrier.bytes.abs() > BYTES_MAX {
            let place = self.shared.place(offset);
            let Mbarrier { bytes, .. } = barrier;
            return Err(format!(
                "{place}: the mbarrier misses {bytes} bytes, more than it can count"
            ));
        }
        let (barrier, is_complete) = barrier.settled();
        self.shared.set_word(offset, barrier.pack());
        if is_complete {
            let here = self.shared.address(offset);
            let all = 0..self.block.threads.len() as u32;
            self.block.wake_if(
                all,
                |state| matches!(state, State::AtMbarrier { address, .. } if *address == here),
            );
        }
        Ok(())
    }

    /// Whether the phase of `parity` is complete; if so, the current thread knows what led to it.
    fn has_passed(&mut self, address: usize, parity: u32, site: Site) -> Result<bool, String> {
        let offset = self.mbarrier_offset(address)?;
        let barrier = self.mbarrier(offset)?;
        self.check_race(self.block.current, offset, 8, false, site.into())?;
        let passed = barrier.parity != parity & 1;
        if passed {
            self.block.clocks.acquire(self.block.current, address);
        }
        Ok(passed)
    }

    /// For reports: what the mbarrier that a thread waits at still misses.
    pub fn describe_mbarrier(&self, address: usize) -> String {
        let described = self.mbarrier_offset(address).and_then(|offset| {
            let barrier = self.mbarrier(offset)?;
            Ok(format!("{}: {barrier}", self.shared.place(offset)))
        });
        described.unwrap_or_else(|why| why)
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_mbarrier_init(address: usize, arrivals: u32, site: Site) {
    let worker = worker::current();
    // SAFETY: called by a kernel, on a fiber of the current worker. The same holds in every hook below.
    unsafe {
        let made = (*worker).init_mbarrier(address, arrivals, site);
        made.unwrap_or_else(|why| worker::fail(worker, format!("{why}, at {site}")));
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_mbarrier_arrive(address: usize, bytes: u32, site: Site) {
    let worker = worker::current();
    // SAFETY: as above.
    unsafe {
        match (*worker).arrive(address, bytes, site) {
            Ok(()) => worker::may_give_way(worker),
            Err(why) => worker::fail(worker, format!("{why}, at {site}")),
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_mbarrier_wait(address: usize, parity: u32, site: Site) {
    let worker = worker::current();
    // SAFETY: as above.
    unsafe {
        worker::may_give_way(worker);
        loop {
            match (*worker).has_passed(address, parity, site) {
                Ok(true) => return,
                // Who is woken looks again: by then the barrier may be a phase further.
                Ok(false) => worker::wait(
                    worker,
                    State::AtMbarrier {
                        address,
                        parity,
                        site,
                    },
                ),
                Err(why) => worker::fail(worker, format!("{why}, at {site}")),
            }
        }
    }
}

/// fence.proxy.async, and fence.mbarrier_init: units see what the thread has written.
#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_fence_units() {
    let worker = worker::current();
    // SAFETY: as above.
    unsafe { (*worker).block.clocks.fence((*worker).block.current) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_ends_when_nothing_is_missing() {
        let mut barrier = Mbarrier {
            pending: 1,
            expected: 2,
            bytes: -96,
            parity: 1,
        };
        assert_eq!(Mbarrier::unpack(barrier.pack()), Some(barrier));
        assert_eq!(Mbarrier::unpack(!0), None);
        barrier.pending = 0;
        assert_eq!(barrier.settled(), (barrier, false));
        barrier.bytes = 0;
        let next = Mbarrier {
            pending: 2,
            parity: 0,
            ..barrier
        };
        assert_eq!(barrier.settled(), (next, true));
    }
}
