//! The checked mode: kernels are compiled with `-fsanitize=thread`, but linked to our own `__tsan_*`
//! (hooks.cpp), so that every load and store comes by here first. Device memory is bounded exactly, by
//! what the launch was given; shared memory is bounded by its arrays, and watched for races.
use super::{
    hooks::At,
    memory::{self, Region},
    moment::{Actor, Known, Moment},
    race::{Fault, Race, Races},
    worker::{self, Worker},
};
use std::ops::Range;

#[derive(Default)]
pub(super) struct Checker {
    pub on: bool,
    /// The instruction of the last access: where a thread is that seems to be in here.
    pub last: usize,
    races: Races,
    /// All allocations, by address, and the one last touched.
    regions: Vec<Region>,
    recent: Range<usize>,
    params: Range<usize>,
}

unsafe extern "C" {
    /// Whether the kernels were built with the calls to here.
    fn emulated_is_checked() -> bool;
}

/// Whether the kernels of this build can be checked at all.
pub(super) fn is_built_in() -> bool {
    // SAFETY: returns a constant.
    unsafe { emulated_is_checked() }
}

impl Checker {
    pub fn begin(&mut self, wanted: bool, params: *const u8, params_bytes: usize) {
        self.on = wanted && is_built_in();
        self.last = 0;
        self.recent = 0..0;
        self.params = params as usize..params as usize + params_bytes;
        if self.on {
            self.races.begin();
            // SAFETY: the launch's own copy of its parameters.
            let params = unsafe { std::slice::from_raw_parts(params, params_bytes) };
            memory::regions(params, &mut self.regions);
        }
    }

    /// Whether an access outside shared memory is within what the kernel was given. What is no device
    /// memory at all is the stack or a constant, which the machine itself guards.
    fn check_region(&mut self, address: usize, bytes: usize) -> Result<(), String> {
        let inside = |range: &Range<usize>| range.start <= address && address + bytes <= range.end;
        if inside(&self.recent) || inside(&self.params) {
            return Ok(());
        }
        let at = self
            .regions
            .partition_point(|region| region.guarded.start <= address);
        match at.checked_sub(1).map(|i| &self.regions[i]) {
            Some(region) if region.guarded.contains(&address) => {
                if inside(&region.bytes) && region.is_passed {
                    self.recent = region.bytes.clone();
                    return Ok(());
                }
                // Another launch's may have been freed since, and the pages be somebody else's by now.
                if !region.is_passed && !memory::is_near(address) {
                    return Ok(());
                }
                let why = memory::describe(address);
                let passed = if region.is_passed {
                    ""
                } else {
                    ", which the kernel was not given"
                };
                Err(format!("{why}{passed}"))
            }
            _ => Ok(()),
        }
    }
}

impl Worker {
    /// Whether `thread` may access these bytes now; anybody may where nothing is checked. `at` is where the
    /// access returns to; the error says which line that is.
    #[inline]
    pub fn check_access(
        &mut self,
        thread: u32,
        address: usize,
        bytes: usize,
        writes: bool,
        at: At,
    ) -> Result<(), String> {
        if !self.checker.on {
            return Ok(());
        }
        let verb = if writes { "write" } else { "read" };
        let Some(offset) = self.shared.offset(address) else {
            let checked = self.checker.check_region(address, bytes);
            return checked.map_err(|why| format!("{verb} of {bytes} bytes of {why}{at}"));
        };
        if !self.shared.contains(offset, bytes) {
            let place = self.shared.place(offset);
            return Err(format!(
                "{verb} of {bytes} bytes out of bounds, {place}{at}"
            ));
        }
        if let Some(copier) = self.copies.on_the_way(offset, bytes) {
            let place = self.shared.place(offset);
            return Err(format!(
                "race, {place}: {verb} by thread {thread}{at}, where a copy that thread {copier} started and has not waited for is on its way"
            ));
        }
        self.check_race(thread, offset, bytes, writes, at)
    }

    /// `thread` accesses shared memory where there is some.
    pub fn check_race(
        &mut self,
        thread: u32,
        offset: usize,
        bytes: usize,
        writes: bool,
        at: At,
    ) -> Result<(), String> {
        if !self.checker.on {
            return Ok(());
        }
        let clocks = &self.block.clocks;
        let races = &mut self.checker.races;
        let race = races.access(clocks, thread, (offset, bytes), writes, at);
        race.map_err(|race| self.describe_race(&race, Actor::thread(thread), writes, at))
    }

    /// A unit does work that was begun knowing `known`: it accesses these `places` (offset and bytes). The
    /// moment is what those who wait for it acquire.
    pub fn check_unit(
        &mut self,
        unit: Actor,
        known: &Known,
        places: impl IntoIterator<Item = (usize, usize)>,
        writes: bool,
        at: At,
    ) -> Result<Moment, String> {
        if !self.checker.on {
            return Ok(Moment::default());
        }
        let view = self.block.clocks.unit_view(unit, known);
        for place in places {
            let (clocks, races) = (&self.block.clocks, &mut self.checker.races);
            let race = races.access_as(clocks, &view, place, writes, at);
            race.map_err(|race| self.describe_race(&race, unit, writes, at))?;
        }
        Ok(view.now)
    }

    /// An access of `thread`, for those who want to know what was moved.
    #[inline]
    pub fn count_access(
        &mut self,
        thread: u32,
        address: usize,
        bytes: usize,
        writes: bool,
        at: At,
    ) {
        if !self.counter.on {
            return;
        }
        match self.shared.offset(address) {
            Some(_) => self.counter.shared(thread, address, bytes, at.key()),
            None => self
                .counter
                .global(thread, address, bytes, writes, at.key()),
        }
    }

    #[cold]
    fn describe_race(&self, race: &Race, actor: Actor, writes: bool, at: At) -> String {
        let verb = |writes| if writes { "write" } else { "read" };
        let former = &race.former;
        let (now, then) = (
            format!("{} by {actor}{at}", verb(writes)),
            format!(
                "{} by {}{}",
                verb(former.writes),
                former.when.actor,
                former.at
            ),
        );
        let place = self.shared.place(race.offset);
        match race.fault {
            Fault::Unfenced => {
                format!("missing fence_async_proxy, {place}: {now}, after the {then}")
            }
            Fault::Unordered if actor.is_thread() && former.when.actor.is_thread() => {
                format!("race, {place}: {now}, with no barrier after the {then}")
            }
            Fault::Unordered => {
                format!("race, {place}: {now}, which nothing orders after the {then}")
            }
        }
    }
}

/// Called before each load and store of a kernel; `at` is the address it returns to.
#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_access(address: usize, bytes: usize, writes: bool, at: usize) {
    let worker = worker::current();
    // SAFETY: called by a kernel, on a fiber of the current worker; no reference outlives the check.
    unsafe {
        (*worker).checker.last = at;
        let thread = (*worker).block.current;
        if let Err(why) = (*worker).check_access(thread, address, bytes, writes, At::call(at)) {
            worker::fail(worker, why);
        }
        (*worker).count_access(thread, address, bytes, writes, At::call(at));
    }
}

/// Called before each atomic operation. Atomics do not race, and order what came before one against
/// what comes after the next; on the device that takes a fence as well, which is not looked for.
#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_atomic(address: usize, bytes: usize, at: usize) {
    let worker = worker::current();
    // SAFETY: as above.
    unsafe {
        if !(*worker).checker.on {
            return;
        }
        let checked = match (*worker).shared.offset(address) {
            Some(offset) if (*worker).shared.contains(offset, bytes) => Ok(()),
            Some(offset) => Err((*worker).shared.place(offset)),
            None => (*worker).checker.check_region(address, bytes),
        };
        if let Err(why) = checked {
            worker::fail(
                worker,
                format!("atomic operation out of bounds, {why}{}", At::call(at)),
            );
        }
        let thread = (*worker).block.current;
        for writes in [false, true] {
            (*worker).count_access(thread, address, bytes, writes, At::call(at));
        }
        let block = &mut (*worker).block;
        block.clocks.acquire(block.current, address);
        block.clocks.release(block.current, address);
    }
}
