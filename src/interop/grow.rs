//! A file that gets longer at its end, and is as long as it was where that is not finished.
use crate::{Error, Result};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Dropped before [`GrownFile::keep`], it is cut to the length it had.
pub struct GrownFile {
    path: PathBuf,
    file: BufWriter<File>,
    length: u64,
    kept: bool,
}

impl GrownFile {
    /// For this process alone. What lies behind `length` bytes, left by one that was killed, is cut off.
    pub fn open(path: &Path, length: u64) -> Result<GrownFile> {
        let file = OpenOptions::new().write(true).open(path);
        let mut file = file.map_err(Error::file(path))?;
        file.try_lock().map_err(|why| match why {
            TryLockError::WouldBlock => Error::Config(format!(
                "{} is being written by another process\n  wait for it",
                path.display()
            )),
            TryLockError::Error(why) => Error::file(path)(why),
        })?;
        let end = file
            .set_len(length)
            .and_then(|()| file.seek(SeekFrom::End(0)));
        end.map_err(Error::file(path))?;
        Ok(GrownFile {
            path: path.into(),
            file: BufWriter::with_capacity(1 << 20, file),
            length,
            kept: false,
        })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(Error::file(&self.path))
    }

    /// Brings what was written to the disk.
    pub fn sync(&mut self) -> Result<()> {
        let written = self.file.flush();
        let synced = written.and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(Error::file(&self.path))
    }

    /// Replaces the file's first bytes, on the disk when it returns.
    pub fn rewrite_start(&mut self, bytes: &[u8]) -> Result<()> {
        let rewrite = |file: &mut BufWriter<File>| -> io::Result<()> {
            file.rewind()?;
            file.write_all(bytes)?;
            file.seek(SeekFrom::End(0)).map(drop)
        };
        rewrite(&mut self.file).map_err(Error::file(&self.path))?;
        self.sync()
    }

    /// At its new length.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for GrownFile {
    fn drop(&mut self) {
        if !self.kept {
            let _ = self.file.flush(); // or dropping the buffer would write behind the cut
            let _ = self.file.get_ref().set_len(self.length);
        }
    }
}
