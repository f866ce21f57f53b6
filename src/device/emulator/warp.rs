//! Where the lanes of a warp meet: each leaves a pointer to its part and waits; the last to come works
//! for all of them and lets them go. One meeting a collective, no second phase.
use super::{
    block::{Block, WARP},
    hooks::Site,
};
use std::{ffi::c_void, ptr};

/// One collective call, as one lane sees it.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub mask: u32,
    pub what: &'static str,
    pub site: Site,
}

/// The lanes of one collective that have come so far.
pub(super) struct Meeting {
    call: Call,
    warp: u32,
    arrived: u32,
    parts: [*mut c_void; WARP as usize],
}

#[derive(Default)]
pub(super) struct Warp {
    /// Lanes that exist, and those of them that have not exited.
    existing: u32,
    live: u32,
    /// Meetings of disjoint masks may be open at once.
    meetings: Vec<Meeting>,
}

impl Warp {
    pub fn begin(&mut self, lanes: u32) {
        self.existing = if lanes >= WARP { !0 } else { (1 << lanes) - 1 };
        self.live = self.existing;
        self.meetings.clear();
    }

    fn check(&self, warp: u32, lane: u32, call: &Call) -> Result<(), String> {
        let Call { mask, what, site } = *call;
        if mask & (1 << lane) == 0 {
            return Err(format!(
                "{what} at {site}: mask {mask:#x} leaves out its caller, lane {lane}"
            ));
        }
        let absent = mask & !self.live;
        if absent != 0 {
            return Err(format!(
                "{what} at {site}: mask {mask:#x} names lanes {absent:#x}, which do not exist or have exited"
            ));
        }
        match self.meetings.iter().find(|m| m.call.mask & mask != 0) {
            Some(Meeting { call: other, .. }) if other.mask != mask || other.what != what => {
                Err(format!(
                    "lanes of warp {warp} meet in different collectives: {} at {} (mask {:#x}) and {what} at {site} (mask {mask:#x})",
                    other.what, other.site, other.mask
                ))
            }
            _ => Ok(()),
        }
    }
}

impl Meeting {
    pub fn threads(&self) -> impl Iterator<Item = u32> + Clone {
        let Meeting { call, warp, .. } = *self;
        (0..WARP)
            .filter(move |lane| call.mask & (1 << lane) != 0)
            .map(move |l| warp * WARP + l)
    }

    /// The parts of the lanes in the mask.
    pub fn parts<T>(&self) -> [Option<*mut T>; WARP as usize] {
        std::array::from_fn(|lane| {
            (self.call.mask & (1 << lane) != 0).then_some(self.parts[lane].cast())
        })
    }
}

impl Block {
    /// Whether the current thread's warp has all lanes that a warp can have.
    pub fn warp_is_whole(&self) -> bool {
        self.warps[(self.current / WARP) as usize].existing == !0
    }

    /// The current thread comes to `call` with its `part`; the last lane gets the whole meeting, and
    /// the others are free to go on.
    #[inline]
    pub fn meet(&mut self, call: Call, part: *mut c_void) -> Result<Option<Meeting>, String> {
        let (index, lane) = (self.current / WARP, self.current % WARP);
        let warp = &mut self.warps[index as usize];
        // The last warp of a block may be short, and all of its lanes are still `~0`.
        let call = Call {
            mask: call.mask & warp.existing,
            ..call
        };
        warp.check(index, lane, &call)?;
        let open = warp.meetings.iter().position(|m| m.call.mask == call.mask);
        let at = open.unwrap_or_else(|| {
            warp.meetings.push(Meeting {
                call,
                warp: index,
                arrived: 0,
                parts: [ptr::null_mut(); 32],
            });
            warp.meetings.len() - 1
        });
        let meeting = &mut warp.meetings[at];
        meeting.arrived |= 1 << lane;
        meeting.parts[lane as usize] = part;
        if meeting.arrived != call.mask {
            return Ok(None);
        }
        let meeting = warp.meetings.swap_remove(at);
        for other in (0..WARP).filter(|&l| l != lane && call.mask & (1 << l) != 0) {
            self.wake(index * WARP + other);
        }
        Ok(Some(meeting))
    }

    /// The current thread exits: nobody may still wait for it.
    pub fn exit_warp(&mut self) -> Result<(), String> {
        let (index, lane) = (self.current / WARP, self.current % WARP);
        let warp = &mut self.warps[index as usize];
        warp.live &= !(1 << lane);
        match warp
            .meetings
            .iter()
            .find(|m| m.call.mask & (1 << lane) != 0)
        {
            None => Ok(()),
            Some(Meeting { call, .. }) => Err(format!(
                "lane {lane} of warp {index} exited while others wait for it in {} at {}",
                call.what, call.site
            )),
        }
    }
}
