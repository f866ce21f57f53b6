//! What kernels call: the twins of the declarations in kernels/emulated.cuh. Each asks the block what a
//! call means and then waits, goes on or fails; a hook never unwinds.
use super::{
    block::{Arrival, State, WARP},
    fault::source_lines,
    warp::{Call, Meeting},
    worker::{self, Worker},
};
use std::{
    ffi::{CStr, c_char, c_void},
    fmt,
    path::Path,
};

/// A line of a kernel, given by the compiler as a default argument.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Site {
    file: *const c_char,
    line: u32,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        // SAFETY: a string literal of the kernel's object file.
        let file = unsafe { CStr::from_ptr(self.file) }.to_string_lossy();
        let name = Path::new(&*file)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        write!(f, "{name}:{}", self.line)
    }
}

/// Where something was done: a line, or an instruction whose line can be looked up. One word, as every
/// access to shared memory is remembered with it.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct At(usize);

impl At {
    const IS_SITE: u32 = 63;
    const LINE: u32 = 47;

    /// The call that returns to `address`.
    pub fn call(address: usize) -> At {
        At(address)
    }
    /// The same number for the same place.
    pub fn key(self) -> usize {
        self.0
    }
}

impl From<Site> for At {
    fn from(site: Site) -> At {
        let line = site.line.min(u16::MAX.into()) as usize;
        At(1 << At::IS_SITE | line << At::LINE | site.file as usize)
    }
}

impl fmt::Display for At {
    /// ", at x.cu:7", where that is known.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.0 >> At::IS_SITE == 1 {
            let file = (self.0 & ((1 << At::LINE) - 1)) as *const c_char;
            let line = (self.0 >> At::LINE) as u16 as u32;
            return write!(f, ", at {}", Site { file, line });
        }
        match source_lines(self.0.wrapping_sub(1)) {
            Some(lines) => write!(f, ", at {lines}"),
            None => Ok(()),
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_barrier(id: u32, threads: u32, site: Site) {
    let worker = worker::current();
    // SAFETY: called by a kernel, on a fiber of the current worker. The same holds in every hook below.
    unsafe {
        match (*worker).block.arrive_at_barrier(id, threads, site) {
            Ok(Arrival::Waits) => worker::wait(worker, State::AtBarrier { id, site }),
            Ok(Arrival::Last) => {
                if threads == 0 {
                    (*worker).counter.settle(); // all have met
                }
                worker::may_give_way(worker)
            }
            Err(why) => worker::fail(worker, why),
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_barrier_arrive(id: u32, threads: u32, site: Site) {
    let worker = worker::current();
    // SAFETY: as above.
    unsafe {
        if let Err(why) = (*worker).block.pass_barrier(id, threads, site) {
            worker::fail(worker, why);
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_yield() {
    // SAFETY: as above.
    unsafe { worker::may_give_way(worker::current()) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_syncwarp(mask: u32, site: Site) {
    let call = Call {
        mask,
        what: "__syncwarp",
        site,
    };
    // SAFETY: as above.
    unsafe {
        let worker = worker::current();
        // Of the collectives, only this one orders memory.
        meet(worker, call, &mut (), |meeting| {
            (*worker).block.clocks.join(meeting.threads())
        });
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_vote(mask: u32, predicate: bool, site: Site) -> u32 {
    struct Vote {
        predicate: bool,
        ballot: u32,
    }
    let mut vote = Vote {
        predicate,
        ballot: 0,
    };
    let call = Call {
        mask,
        what: "a vote",
        site,
    };
    // SAFETY: as above; the parts are the lanes' `vote`s, alive while their lanes wait.
    unsafe {
        meet(worker::current(), call, &mut vote, |meeting| {
            let votes = meeting.parts::<Vote>();
            let ballot = (0..WARP).filter(|&l| votes[l as usize].is_some_and(|v| (*v).predicate));
            let ballot = ballot.fold(0, |bits, lane| bits | 1 << lane);
            votes
                .into_iter()
                .flatten()
                .for_each(|vote| (*vote).ballot = ballot);
        });
    }
    vote.ballot
}

#[repr(u32)]
#[derive(Clone, Copy)]
#[expect(dead_code, reason = "kernels make them")]
enum Shuffle {
    Index,
    Up,
    Down,
    Xor,
}

impl Shuffle {
    /// The lane whose value `lane` gets; segments of `width` lanes do not see each other.
    fn source(self, lane: u32, argument: u32, width: u32) -> u32 {
        let first = lane & !(width - 1);
        let inside = |source: u32| (first..first + width).contains(&source);
        match self {
            Shuffle::Index => first + (argument & (width - 1)),
            Shuffle::Up => lane
                .checked_sub(argument)
                .filter(|&s| inside(s))
                .unwrap_or(lane),
            Shuffle::Down => lane
                .checked_add(argument)
                .filter(|&s| inside(s))
                .unwrap_or(lane),
            // Towards lower segments an exclusive or may reach out, as on the device.
            Shuffle::Xor => Some(lane ^ argument)
                .filter(|&s| s < first + width)
                .unwrap_or(lane),
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_shuffle(
    mask: u32,
    value: u64,
    mode: Shuffle,
    argument: u32,
    width: u32,
    site: Site,
) -> u64 {
    struct Lane {
        value: u64,
        source: u32,
        result: u64,
    }
    let worker = worker::current();
    // SAFETY: as above; the parts are the lanes' `lane`s, alive while their lanes wait.
    unsafe {
        if !width.is_power_of_two() || width > WARP {
            worker::fail(worker, format!("a shuffle at {site}: width {width}"));
        }
        let source = mode.source((*worker).block.current % WARP, argument, width);
        let mut lane = Lane {
            value,
            source,
            result: 0,
        };
        meet(
            worker,
            Call {
                mask,
                what: "a shuffle",
                site,
            },
            &mut lane,
            |meeting| {
                let lanes = meeting.parts::<Lane>();
                for lane in lanes.into_iter().flatten() {
                    let source = lanes.get((*lane).source as usize).copied().flatten();
                    // A lane outside the mask has no defined value: NaN, whatever the type.
                    (*lane).result = source.map_or(!0, |source| (*source).value);
                }
            },
        );
        lane.result
    }
}

/// Meets the other lanes of `call.mask`; the last one does `work`.
///
/// # Safety
/// On a fiber of `worker`; all lanes that meet in `call.what` bring the same type of part.
#[inline(always)]
pub(super) unsafe fn meet<T>(
    worker: *mut Worker,
    call: Call,
    part: &mut T,
    work: impl FnOnce(&Meeting),
) {
    // SAFETY: the caller's promise.
    unsafe {
        match (*worker)
            .block
            .meet(call, (part as *mut T).cast::<c_void>())
        {
            Ok(Some(meeting)) => {
                work(&meeting);
                worker::may_give_way(worker);
            }
            Ok(None) => {
                let Call { mask, what, site } = call;
                worker::wait(worker, State::InWarp { mask, what, site });
            }
            Err(why) => worker::fail(worker, why),
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_shared_array(
    key: *const c_void,
    name: *const c_char,
    bytes: u64,
    align: u64,
    site: Site,
) -> usize {
    let worker = worker::current();
    // SAFETY: as above; `name` is a string literal.
    unsafe {
        let name = CStr::from_ptr(name);
        let array = (*worker)
            .shared
            .array(key as usize, name, bytes as usize, align as usize);
        array.unwrap_or_else(|why| worker::fail(worker, format!("{why}, at {site}")))
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_dynamic_shared(align: u64) -> usize {
    let worker = worker::current();
    // SAFETY: as above.
    unsafe {
        let dynamic = (*worker).shared.dynamic(align as usize);
        dynamic.unwrap_or_else(|why| worker::fail(worker, why))
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_fail(why: *const c_char, site: Site) -> ! {
    // SAFETY: as above; `why` is a string literal.
    unsafe {
        let why = CStr::from_ptr(why).to_string_lossy();
        worker::fail(worker::current(), format!("{why}, at {site}"))
    }
}
