//! A file's bytes as memory, read only: here because it needs `unsafe`.
use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

/// The file must be left alone while it is mapped. Another program may still write to it, and Linux has no
/// lock against that: bytes that change are seen as they are then, so whoever reads them checks them; and
/// of a file that is cut, [`Mapped::range`] gives nothing any more. Only where it is cut between that look and
/// the use of the bytes does the system end the process (SIGBUS).
pub struct Mapped {
    file: File,
    map: Mmap,
}

impl Mapped {
    pub fn open(path: &Path) -> io::Result<Mapped> {
        let file = File::open(path)?;
        // Safety: read only, and only through `range`, which looks at the file's length first.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Mapped { file, map })
    }

    /// Bytes, when it was opened.
    pub fn len(&self) -> u64 {
        self.map.len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// `None` where the file does not hold these bytes, or no longer.
    pub fn range(&self, at: u64, bytes: u64) -> Option<&[u8]> {
        let end = at.checked_add(bytes)?;
        let now = self.file.metadata().ok()?.len();
        if end > now {
            return None;
        }
        self.map.get(at as usize..end as usize)
    }
}
