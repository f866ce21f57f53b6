//! Stores of the copy engine in groups: each thread commits its own, and waits until at most so many
//! are open, either until their tiles have been read or until all is written.
use super::{
    block::{Block, State},
    hooks::Site,
    moment::Moment,
    worker,
};

#[derive(Clone, Copy, PartialEq)]
enum Progress {
    Issued,
    Read,
    Written,
}

struct Issued {
    number: u64,
    group: u32,
    progress: Progress,
    /// When its tile was read, and whether the thread has waited for that.
    read: Moment,
    is_known: bool,
    site: Site,
}

/// Of one thread.
#[derive(Default)]
pub(super) struct Stores {
    issued: Vec<Issued>,
    /// Groups committed so far, and so the number of the open one.
    committed: u32,
    count: u64,
}

impl Stores {
    pub fn begin(&mut self) {
        self.issued.clear();
        self.committed = 0;
    }

    /// A thread must not leave before its tiles are read: shared memory goes with the block.
    pub fn check_exit(&self) -> Result<(), String> {
        match self.issued.iter().find(|store| !store.is_known) {
            None => Ok(()),
            Some(store) => Err(format!(
                "exited without bulk_wait_read for the store at {}",
                store.site
            )),
        }
    }
}

impl Block {
    fn current_stores(&mut self) -> &mut Stores {
        &mut self.stores[self.current as usize]
    }

    /// A store of the current thread, in the group that it commits next.
    pub fn open_store(&mut self, site: Site) -> u64 {
        let stores = self.current_stores();
        stores.count += 1;
        stores.issued.push(Issued {
            number: stores.count,
            group: stores.committed,
            progress: Progress::Issued,
            read: Moment::default(),
            is_known: false,
            site,
        });
        stores.count
    }

    pub fn store_has_read(&mut self, thread: u32, number: u64, moment: Moment) {
        self.advance(thread, number, |store| {
            store.progress = Progress::Read;
            store.read = moment;
        });
    }

    pub fn store_has_written(&mut self, thread: u32, number: u64) {
        self.advance(thread, number, |store| store.progress = Progress::Written);
    }

    fn advance(&mut self, thread: u32, number: u64, change: impl FnOnce(&mut Issued)) {
        let issued = &mut self.stores[thread as usize].issued;
        if let Some(store) = issued.iter_mut().find(|s| s.number == number) {
            change(store);
        }
        self.wake_if(thread..thread + 1, |state| {
            matches!(state, State::AtStores { .. })
        });
    }

    /// Whether at most `open` of the current thread's groups are less than `wanted`; if so it knows of the
    /// others.
    fn stores_are(&mut self, wanted: Progress, open: u32) -> bool {
        let stores = &mut self.stores[self.current as usize];
        let before = stores.committed.saturating_sub(open);
        let is_done = |s: &Issued| s.progress == Progress::Written || s.progress == wanted;
        if !stores
            .issued
            .iter()
            .all(|s| s.group >= before || is_done(s))
        {
            return false;
        }
        for store in stores.issued.iter_mut().filter(|s| s.group < before) {
            self.clocks.acquire_unit(self.current, store.read);
            store.is_known = true;
        }
        stores
            .issued
            .retain(|s| s.group >= before || s.progress != Progress::Written);
        true
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_bulk_commit() {
    let worker = worker::current();
    // SAFETY: called by a kernel, on a fiber of the current worker.
    unsafe { (*worker).block.current_stores().committed += 1 }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_bulk_wait(open: u32, until_written: bool, site: Site) {
    let worker = worker::current();
    let wanted = if until_written {
        Progress::Written
    } else {
        Progress::Read
    };
    // SAFETY: as above.
    unsafe {
        worker::may_give_way(worker);
        while !(*worker).block.stores_are(wanted, open) {
            worker::wait(worker, State::AtStores { site });
        }
    }
}
