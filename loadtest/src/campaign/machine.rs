//! What a machine must be able to do for some faults: a small disk that can be full, and a clock that can jump.
//!
//! Neither touches anything but the campaign's own processes and folders.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// More than a campaign writes.
const DISK_MIB: u64 = 6 * 1024;
/// What is left on a full disk.
const ROOM_KIB: u64 = 16;
/// How often it is tried to fill one that grows meanwhile: it can be made no smaller than what is on it.
const FILLS_MAX: u32 = 20;

/// A file system in memory, whose size can be changed while it is used.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one at `folder`. Fails without the right to mount.
    pub fn mount(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        mount(&["-t", "tmpfs", "-o", &format!("size={DISK_MIB}m,mode=755"), "muster-campaign"], folder)?;
        Ok(Self(folder.to_owned()))
    }

    /// Makes it as small as what is on it.
    pub fn fill(&self) -> anyhow::Result<()> {
        for _ in 1..FILLS_MAX {
            if self.try_to_fill().is_ok() {
                return Ok(());
            }
        }
        self.try_to_fill()
    }

    fn try_to_fill(&self) -> anyhow::Result<()> {
        let output = Command::new("df").args(["--output=used", "-k"]).arg(&self.0).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let used: u64 = text.split_whitespace().last().and_then(|used| used.parse().ok()).context("df says nothing")?;
        mount(&["-o", &format!("remount,size={}k", used + ROOM_KIB)], &self.0)
    }

    /// Gives it its room again.
    pub fn free(&self) -> anyhow::Result<()> {
        mount(&["-o", &format!("remount,size={DISK_MIB}m")], &self.0)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open there is about to end.
        drop(Command::new("umount").arg("--lazy").arg(&self.0).output());
    }
}

fn mount(arguments: &[&str], folder: &Path) -> anyhow::Result<()> {
    let output = Command::new("mount").args(arguments).arg(folder).output().context("mount")?;
    anyhow::ensure!(output.status.success(), "mount: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// Why this machine has no small disks; none when it has.
pub fn no_small_disk() -> Option<String> {
    let folder = std::env::temp_dir().join(format!("muster-campaign-mount-{}", std::process::id()));
    let tried = SmallDisk::mount(&folder);
    let failed = tried.err().map(|error| format!("{error:#}"));
    // Removed after it was unmounted above.
    drop(std::fs::remove_dir(&folder));
    failed
}

/// The clock of one process: right until it is told otherwise, by a library that stands before the system's.
#[derive(Debug, Clone)]
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// One that is told by `file`. `None` where the library is missing (package `faketime`).
    pub fn told_by(file: PathBuf) -> Option<Self> {
        let libraries = std::fs::read_dir("/usr/lib").ok()?.flatten();
        let places = libraries.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
        let clock = Self { library: places.into_iter().find(|place| place.exists())?, file };
        clock.jump(0).ok()?;
        Some(clock)
    }

    /// What its process is told. Only the time of day is wrong: timers go on as they were.
    pub fn environment(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.display().to_string();
        [
            ("LD_PRELOAD", text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", text(&self.file)),
            // Looked at again after a second; at each call it would cost more than the rest.
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Lets it be wrong by so many seconds.
    pub fn jump(&self, seconds: i64) -> std::io::Result<()> {
        // Renamed into its place, so that nobody reads half of it.
        let unfinished = self.file.with_extension("unfinished");
        std::fs::write(&unfinished, format!("{seconds:+}\n"))?;
        std::fs::rename(&unfinished, &self.file)
    }
}

/// Why clocks cannot jump here; none when they can.
pub fn no_clock() -> Option<String> {
    let file = std::env::temp_dir().join(format!("muster-campaign-clock-{}", std::process::id()));
    let clock = Clock::told_by(file.clone());
    drop(std::fs::remove_file(file));
    clock.is_none().then(|| "libfaketime is not installed (package faketime)".to_owned())
}
