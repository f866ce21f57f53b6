//! `cp.async`: a copy to shared memory that a thread starts, and that has arrived only when the thread
//! has waited for it. Here it takes place at once or in the wait, whichever finds more bugs; until then
//! nobody may touch where it goes, which the checked mode holds by marks on shared memory.
use super::{
    hooks::At,
    shared::WINDOW_BYTES,
    worker::{self, Worker},
};
use std::{collections::VecDeque, ptr};

/// What one `cp.async.cg` writes, and what both its addresses are aligned to.
const COPY_BYTES: usize = 16;
const POISON: u8 = 0xFF;

struct Copy {
    to: usize,
    from: usize,
    /// Read from `from`; the rest of the sixteen are zeros.
    bytes: usize,
    took_place: bool,
    /// The instruction that started it.
    at: At,
}

/// A thread's copies that have not arrived, oldest first.
#[derive(Default)]
struct Open {
    copies: VecDeque<Copy>,
    /// How many copies each committed group has.
    groups: VecDeque<usize>,
    uncommitted: usize,
}

#[derive(Default)]
pub(super) struct Copies {
    threads: Vec<Open>,
    /// For each sixteen bytes of the window: one more than the thread whose copy is on its way there.
    marks: Vec<u32>,
}

impl Copies {
    /// No copies are open in a block that begins.
    pub fn begin(&mut self, threads: usize) {
        self.marks.resize(WINDOW_BYTES / COPY_BYTES, 0);
        if self.threads.iter().any(|open| !open.copies.is_empty()) {
            self.marks.fill(0); // the block before failed
        }
        self.threads.clear();
        self.threads.resize_with(threads, Open::default);
    }

    /// The thread with a copy on its way to these bytes of the window, if there is one.
    #[inline]
    pub fn on_the_way(&self, offset: usize, bytes: usize) -> Option<u32> {
        let marks = &self.marks[offset / COPY_BYTES..(offset + bytes).div_ceil(COPY_BYTES)];
        marks.iter().find(|&&mark| mark > 0).map(|mark| mark - 1)
    }

    fn mark(&mut self, offset: usize, thread: Option<u32>) {
        self.marks[offset / COPY_BYTES] = thread.map_or(0, |thread| thread + 1);
    }

    /// A thread that exits has waited for all its copies.
    pub fn check_exit(&self, thread: u32) -> Result<(), String> {
        match self.threads[thread as usize].copies.front() {
            None => Ok(()),
            Some(copy) => Err(format!(
                "the thread exits, and never waited for the copy that it started{}",
                copy.at
            )),
        }
    }
}

impl Copy {
    /// # Safety
    /// Both ranges are mapped; nothing else is on its way to `to`.
    unsafe fn take_place(&mut self) {
        // SAFETY: the caller's promise; a copy within shared memory overlaps at most itself.
        unsafe {
            ptr::copy(self.from as *const u8, self.to as *mut u8, self.bytes);
            ptr::write_bytes(
                (self.to + self.bytes) as *mut u8,
                0,
                COPY_BYTES - self.bytes,
            );
        }
        self.took_place = true;
    }
}

impl Worker {
    /// The current thread starts a copy.
    ///
    /// # Safety
    /// On a fiber. A `from` outside everything mapped faults, which ends the fiber.
    unsafe fn start_copy(
        &mut self,
        to: usize,
        from: usize,
        bytes: usize,
        at: At,
    ) -> Result<(), String> {
        self.check_copy(to, from, bytes)
            .map_err(|why| format!("copy_async{at}: {why}"))?;
        let thread = self.block.current;
        if bytes > 0 {
            self.check_access(thread, from, bytes, false, at)?;
        }
        self.check_access(thread, to, COPY_BYTES, true, at)?;
        let mut copy = Copy {
            to,
            from,
            bytes,
            took_place: false,
            at,
        };
        // SAFETY: `to` is in the window; reading the ends of the source faults here, not in the wait.
        unsafe {
            if bytes > 0 {
                ptr::read_volatile(from as *const u8);
                ptr::read_volatile((from + bytes - 1) as *const u8);
            }
            if self.block.copies_at_once() {
                copy.take_place();
            } else {
                ptr::write_bytes(to as *mut u8, POISON, COPY_BYTES);
            }
        }
        let offset = self.shared.offset(to).expect("checked");
        self.copies.mark(offset, Some(thread));
        let open = &mut self.copies.threads[thread as usize];
        open.copies.push_back(copy);
        open.uncommitted += 1;
        Ok(())
    }

    fn check_copy(&self, to: usize, from: usize, bytes: usize) -> Result<(), String> {
        let Some(offset) = self.shared.offset(to) else {
            return Err("its destination is not shared memory".into());
        };
        if !self.shared.contains(offset, COPY_BYTES) {
            let place = self.shared.place(offset);
            return Err(format!("its destination is out of bounds, {place}"));
        }
        if !to.is_multiple_of(COPY_BYTES) || !from.is_multiple_of(COPY_BYTES) {
            return Err("an address that is not aligned to 16 bytes".into());
        }
        if bytes > COPY_BYTES {
            return Err(format!("{bytes} bytes of 16"));
        }
        if bytes > 0 && self.shared.offset(from).is_some() {
            return Err("its source is shared memory".into());
        }
        Ok(())
    }

    fn commit_copies(&mut self) {
        let open = &mut self.copies.threads[self.block.current as usize];
        open.groups.push_back(open.uncommitted);
        open.uncommitted = 0;
    }

    /// All but the `open` youngest committed groups of the current thread arrive.
    ///
    /// # Safety
    /// On a fiber.
    unsafe fn finish_copies(&mut self, open: usize, at: At) -> Result<(), String> {
        let thread = self.block.current as usize;
        while self.copies.threads[thread].groups.len() > open {
            let group = self.copies.threads[thread].groups.pop_front();
            for _ in 0..group.unwrap_or(0) {
                let copy = self.copies.threads[thread].copies.pop_front();
                let mut copy = copy.expect("groups count copies");
                if !copy.took_place {
                    // SAFETY: `start_copy` has checked and touched both sides.
                    unsafe { copy.take_place() };
                }
                let offset = self.shared.offset(copy.to).expect("checked");
                self.copies.mark(offset, None);
                // Whoever read before this and did not know of it read too early.
                self.check_access(self.block.current, copy.to, COPY_BYTES, true, at)?;
            }
        }
        Ok(())
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_copy_async_at(to: usize, from: usize, bytes: u32, at: usize) {
    let worker = worker::current();
    // SAFETY: called by a kernel, on a fiber of the current worker. The same holds in the hooks below.
    unsafe {
        (*worker).checker.last = at;
        if let Err(why) = (*worker).start_copy(to, from, bytes as usize, At::call(at)) {
            worker::fail(worker, why);
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_copy_async_commit() {
    // SAFETY: as above.
    unsafe { (*worker::current()).commit_copies() }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_copy_async_wait_at(open: u32, at: usize) {
    let worker = worker::current();
    // SAFETY: as above.
    unsafe {
        if let Err(why) = (*worker).finish_copies(open as usize, At::call(at)) {
            worker::fail(worker, why);
        }
        worker::may_give_way(worker);
    }
}
