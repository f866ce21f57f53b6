//! The sixteen barriers of a block. Barrier 0 without a count is `__syncthreads`: it waits for every
//! thread that has not exited. The others count the threads they were told to, and never shrink.
use super::{
    block::{Arrival, Block, WARP},
    hooks::Site,
};

#[derive(Default)]
pub(super) struct Barrier {
    pub arrived: u32,
    /// Threads it waits for; 0: all that live.
    pub expected: u32,
    waiting: Vec<u32>,
    /// Where each warp waits, and where any does.
    warp_sites: Vec<Option<Site>>,
    site: Option<Site>,
}

impl Barrier {
    pub fn begin(&mut self) {
        self.arrived = 0;
        self.expected = 0;
        self.waiting.clear();
        self.warp_sites.clear();
        self.site = None;
    }

    /// Lanes of a warp must wait at one place, as `bar.sync` is one instruction for all of them; for
    /// `__syncthreads` CUDA asks the same of the whole block.
    fn check_site(&mut self, id: u32, warp: usize, site: Site) -> Result<(), String> {
        if self.warp_sites.len() <= warp {
            self.warp_sites.resize(warp + 1, None);
        }
        let lanes = *self.warp_sites[warp].get_or_insert(site);
        if lanes != site {
            return Err(format!(
                "divergent barrier {id}: lanes of warp {warp} wait at {lanes} and at {site}"
            ));
        }
        let block = *self.site.get_or_insert(site);
        if self.expected == 0 && block != site {
            return Err(format!(
                "divergent __syncthreads: threads of one block wait at {block} and at {site}"
            ));
        }
        Ok(())
    }
}

impl Block {
    /// The current thread comes to barrier `id` (and, if it is not the last, has to wait there).
    #[inline]
    pub fn arrive_at_barrier(
        &mut self,
        id: u32,
        expected: u32,
        site: Site,
    ) -> Result<Arrival, String> {
        self.count_arrival(id, expected, site)?;
        let barrier = &mut self.barriers[id as usize];
        barrier.check_site(id, (self.current / WARP) as usize, site)?;
        if expected > 0 {
            self.clocks.release(self.current, id as usize);
        }
        let barrier = &mut self.barriers[id as usize];
        let all = if expected == 0 { self.live } else { expected };
        if barrier.arrived < all {
            barrier.waiting.push(self.current);
            return Ok(Arrival::Waits);
        }
        barrier.waiting.push(self.current);
        self.open_barrier(id);
        Ok(Arrival::Last)
    }

    /// `bar.arrive`: counts, and does not wait.
    pub fn pass_barrier(&mut self, id: u32, expected: u32, site: Site) -> Result<(), String> {
        if expected == 0 {
            return Err(format!(
                "barrier {id}, at {site}: an arrival needs a count of threads"
            ));
        }
        self.count_arrival(id, expected, site)?;
        self.clocks.release(self.current, id as usize);
        if self.barriers[id as usize].arrived == expected {
            self.open_barrier(id);
        }
        Ok(())
    }

    #[inline]
    fn count_arrival(&mut self, id: u32, expected: u32, site: Site) -> Result<(), String> {
        let Some(barrier) = self.barriers.get_mut(id as usize) else {
            return Err(format!(
                "barrier {id}, at {site}: a block has barriers 0 to 15"
            ));
        };
        if !expected.is_multiple_of(WARP) {
            return Err(format!(
                "barrier {id}, at {site}: {expected} threads are no whole warps"
            ));
        }
        if barrier.arrived > 0 && barrier.expected != expected {
            return Err(format!(
                "barrier {id}, at {site}: told to wait for {expected} threads, before for {}",
                barrier.expected
            ));
        }
        barrier.expected = expected;
        barrier.arrived += 1;
        Ok(())
    }

    /// All who wait go on. (The last to arrive waits with them for a moment, and goes on at once.)
    fn open_barrier(&mut self, id: u32) {
        let barrier = &mut self.barriers[id as usize];
        let expected = barrier.expected;
        let mut waiting = std::mem::take(&mut barrier.waiting);
        if expected == 0 {
            self.clocks.join_all();
        }
        for &thread in &waiting {
            if expected > 0 {
                self.clocks.acquire(thread, id as usize);
            }
            if thread != self.current {
                self.wake(thread);
            }
        }
        self.clocks.forget(id as usize);
        waiting.clear(); // kept for its room
        let barrier = &mut self.barriers[id as usize];
        barrier.waiting = waiting;
        barrier.begin();
    }

    /// A thread that exits may be the one that `__syncthreads` still waited for.
    pub fn exit_barrier(&mut self) {
        let barrier = &self.barriers[0];
        if barrier.arrived > 0 && barrier.expected == 0 && barrier.arrived == self.live {
            self.open_barrier(0);
        }
    }
}
