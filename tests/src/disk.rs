//! Disks that are small, and disks that stand still: real ones, where this machine lets us mount them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::gateway::{Place, path_text};

/// A disk of its own; it goes when it is dropped.
pub struct Disk {
    mount: PathBuf,
    /// Removed after it is no longer mounted.
    _dir: TempDir,
}

impl Disk {
    /// Memory that is full soon; nothing where nobody may mount.
    pub fn tmpfs(kib: u32) -> Option<Self> {
        Self::mounted(|_, mount| {
            run("mount", &["-t", "tmpfs", "-o", &format!("size={kib}k"), "octroi-tests", mount])
        })
    }

    /// A disk that can be frozen; nothing where nobody may mount.
    pub fn ext4(mib: u32) -> Option<Self> {
        Self::mounted(|dir, mount| {
            let image = dir.join("image");
            let file = fs::File::create(&image).unwrap();
            file.set_len(u64::from(mib) * 1024 * 1024).unwrap();
            run("mkfs.ext4", &["-q", path_text(&image)])
                && run("mount", &["-o", "loop", path_text(&image), mount])
        })
    }

    fn mounted(mount: impl FnOnce(&Path, &str) -> bool) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("mount");
        fs::create_dir(&place).unwrap();
        if !mount(dir.path(), path_text(&place)) {
            eprintln!("NOT TRIED: this machine does not let us mount a disk");
            return None;
        }
        Some(Self { mount: place, _dir: dir })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// From now on the access log of `place` is on this disk.
    pub fn hold_log_of(&self, place: &Place) {
        let log = place.file("audit");
        fs::remove_dir_all(&log).unwrap();
        let directory = self.mount.join("audit");
        fs::create_dir_all(&directory).unwrap();
        std::os::unix::fs::symlink(directory, log).unwrap();
    }

    /// Fills it to the last block.
    pub fn fill(&self) {
        let mut file = fs::File::create(self.mount.join("fill")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    /// Makes room again.
    pub fn clear(&self) {
        fs::remove_file(self.mount.join("fill")).unwrap();
    }

    /// Whoever writes to it waits until this is dropped.
    pub fn freeze(&self) -> Frozen<'_> {
        assert!(run("fsfreeze", &["-f", path_text(&self.mount)]), "an ext4 can be frozen");
        Frozen(self)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["-l", path_text(&self.mount)]);
    }
}

/// A disk that stands still.
pub struct Frozen<'d>(&'d Disk);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        run("fsfreeze", &["-u", path_text(&self.0.mount)]);
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}
