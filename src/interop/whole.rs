//! A file that appears whole or not at all: written beside its place, flushed to the disk, then renamed.
use crate::{Error, Result};
use std::{
    fs::{self, File},
    io::{self, BufWriter, Seek, Write},
    path::{Path, PathBuf},
};
use tempfile::{NamedTempFile, TempDir};

/// Of what is not finished.
const PREFIX: &str = ".selfsame-";

/// What to do about a file of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    Refuse,
    Replace,
}

impl Existing {
    /// The meaning of a `--force` flag.
    pub fn forced(force: bool) -> Existing {
        if force {
            Existing::Replace
        } else {
            Existing::Refuse
        }
    }

    /// As [`Existing::check`], of a folder: what an empty one would lose is nothing.
    pub fn check_folder(self, path: &Path) -> Result<()> {
        if path.is_file() {
            let path = path.display();
            return Err(Error::Config(format!("{path} is a file; name a folder")));
        }
        let occupied = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        match self == Existing::Refuse && occupied {
            true => Err(taken(path)),
            false => Ok(()),
        }
    }

    /// Errors where `path` is taken and must not be replaced: before work starts, not after.
    pub fn check(self, path: &Path) -> Result<()> {
        if path.is_dir() {
            let path = path.display();
            return Err(Error::Config(format!("{path} is a folder; name a file")));
        }
        if self == Existing::Refuse && path.exists() {
            return Err(taken(path));
        }
        Ok(())
    }
}

fn taken(path: &Path) -> Error {
    let path = path.display();
    Error::Config(format!(
        "{path} exists\n  name another, or pass --force to replace it"
    ))
}

/// Dropped before [`WholeFile::finish`], it leaves nothing behind.
pub struct WholeFile {
    path: PathBuf,
    existing: Existing,
    temporary: BufWriter<NamedTempFile>,
}

impl WholeFile {
    pub fn create(path: &Path, existing: Existing) -> Result<WholeFile> {
        existing.check(path)?;
        let temporary = new_file_in(folder_of(path)).map_err(Error::file(path))?;
        Ok(WholeFile {
            path: path.to_path_buf(),
            existing,
            temporary: BufWriter::with_capacity(1 << 20, temporary),
        })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.temporary
            .write_all(bytes)
            .map_err(Error::file(&self.path))
    }

    /// Replaces the file's first bytes: a header that had to wait for its numbers.
    pub fn rewrite_start(&mut self, bytes: &[u8]) -> Result<()> {
        let rewrite = |file: &mut BufWriter<NamedTempFile>| -> io::Result<()> {
            file.rewind()?;
            file.write_all(bytes)?;
            file.seek(io::SeekFrom::End(0)).map(|_| ())
        };
        rewrite(&mut self.temporary).map_err(Error::file(&self.path))
    }

    /// On the disk, under its name. A file that took the name meanwhile is refused as well.
    pub fn finish(self) -> Result<()> {
        let path = &self.path;
        let temporary = self.temporary.into_inner();
        let temporary = temporary.map_err(|e| Error::file(path)(e.into_error()))?;
        temporary.as_file().sync_all().map_err(Error::file(path))?;
        let renamed = match self.existing {
            Existing::Replace => temporary.persist(path),
            Existing::Refuse => temporary.persist_noclobber(path),
        };
        renamed.map_err(|e| match e.error.kind() {
            io::ErrorKind::AlreadyExists => taken(path),
            _ => Error::file(path)(e.error),
        })?;
        let folder = File::open(folder_of(path)).map_err(Error::file(path))?;
        folder.sync_all().map_err(Error::file(path))
    }
}

/// A folder that appears with all its files or not at all; where it replaces one, each file appears whole,
/// and files of other names stay. Dropped before [`WholeFolder::finish`], it leaves nothing behind.
pub struct WholeFolder {
    path: PathBuf,
    existing: Existing,
    temporary: TempDir,
}

impl WholeFolder {
    pub fn create(path: &Path, existing: Existing) -> Result<WholeFolder> {
        existing.check_folder(path)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let temporary = builder.tempdir_in(folder_of(path));
        Ok(WholeFolder {
            path: path.to_path_buf(),
            existing,
            temporary: temporary.map_err(Error::file(path))?,
        })
    }

    /// Where its files are to be written meanwhile, each whole.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    pub fn finish(self) -> Result<()> {
        let path = &self.path;
        self.existing.check_folder(path)?;
        match fs::rename(self.path(), path) {
            Err(_) if self.existing == Existing::Replace && path.is_dir() => self.move_files(),
            moved => moved,
        }
        .map_err(Error::file(path))?;
        let folder = File::open(folder_of(path)).map_err(Error::file(path))?;
        folder.sync_all().map_err(Error::file(path))
    }

    fn move_files(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.path())? {
            let entry = entry?;
            fs::rename(entry.path(), self.path.join(entry.file_name()))?;
        }
        File::open(&self.path)?.sync_all()
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// With a new file's usual permissions: a temporary one would be its owner's alone.
fn new_file_in(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}
