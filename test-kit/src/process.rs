//! A child process that is a server: it logs to a file, is known by a pid file, and ends when its parent does.
//!
//! Must never know which server it runs.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::sys;

/// Pause between two looks at whether a process has ended.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a process may take to end after being killed outright.
const KILL_WITHIN: Duration = Duration::from_secs(10);

/// How a server is told to stop.
#[derive(Clone, Copy, Debug)]
pub struct StopBy {
    /// Asks for an orderly end; also sent by the kernel when the parent dies.
    pub signal: i32,
    /// How long that may take before the process is killed.
    pub within: Duration,
}

/// A running server process. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: PathBuf,
    pid_file: PathBuf,
    stop_by: StopBy,
}

impl Server {
    /// Starts `command` with its output appended to `log`, in a process group of its own so that a Ctrl-C in the
    /// terminal reaches only the parent, which then stops its servers in order.
    ///
    /// `pid_file` tells a later start which process to wait for if this one outlives its parent for a moment.
    pub fn spawn(mut command: Command, log: &Path, pid_file: &Path, stop_by: StopBy) -> io::Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        sys::die_with_parent(&mut command, stop_by.signal);
        let child = spawn_from_lasting_thread(command)?;
        let server = Self { child, log: log.to_owned(), pid_file: pid_file.to_owned(), stop_by };
        if let Some(started) = start_time(server.id()) {
            std::fs::write(pid_file, format!("{} {started}\n", server.id()))?;
        }
        Ok(server)
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How the process ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The last lines it logged, for an error message.
    pub fn log_tail(&self) -> String {
        log_tail(&self.log)
    }

    /// Asks the process to stop, waits, and kills it if it does not. Returns when it is gone.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if self.exited().is_none() {
            let _ = sys::kill(self.id(), self.stop_by.signal);
            let deadline = Instant::now() + self.stop_by.within;
            while self.exited().is_none() && Instant::now() < deadline {
                thread::sleep(PAUSE);
            }
            if self.exited().is_none() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
        let _ = std::fs::remove_file(&self.pid_file);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Stops the process a pid file names, if it still runs: one whose parent was killed and which is still ending.
///
/// The file holds the start time too, so another process that got the same pid since is left alone.
pub fn stop_leftover(pid_file: &Path, stop_by: StopBy) -> io::Result<()> {
    let Ok(text) = std::fs::read_to_string(pid_file) else { return Ok(()) };
    let mut words = text.split_whitespace();
    let (Some(Ok(pid)), Some(started)) = (words.next().map(str::parse::<u32>), words.next()) else {
        return std::fs::remove_file(pid_file);
    };
    let runs = || start_time(pid).as_deref() == Some(started);
    for (signal, within) in [(stop_by.signal, stop_by.within), (libc::SIGKILL, KILL_WITHIN)] {
        if !runs() {
            break;
        }
        let _ = sys::kill(pid, signal);
        let deadline = Instant::now() + within;
        while runs() && Instant::now() < deadline {
            thread::sleep(PAUSE);
        }
    }
    if runs() {
        return Err(io::Error::new(io::ErrorKind::TimedOut, format!("process {pid} does not end")));
    }
    std::fs::remove_file(pid_file)
}

/// Whether the process a pid file names still runs.
pub fn leftover_runs(pid_file: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(pid_file) else { return false };
    let mut words = text.split_whitespace();
    let (Some(Ok(pid)), Some(started)) = (words.next().map(str::parse::<u32>), words.next()) else { return false };
    start_time(pid).as_deref() == Some(started)
}

/// The last lines of a log file, or what kept it from being read.
pub fn log_tail(log: &Path) -> String {
    const LINES: usize = 15;
    match std::fs::read_to_string(log) {
        Ok(text) => {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(LINES)..].join("\n")
        }
        Err(error) => format!("({}: {error})", log.display()),
    }
}

/// Sends a signal to a process that this one started.
pub fn signal(pid: u32, signal: i32) -> io::Result<()> {
    sys::kill(pid, signal)
}

/// Starts a command that ends with this process and shares its terminal.
pub fn spawn_attached(mut command: Command) -> io::Result<Child> {
    sys::die_with_parent(&mut command, libc::SIGTERM);
    spawn_from_lasting_thread(command)
}

/// Holds a directory for one process at a time, for as long as the returned file lives.
///
/// `Ok(None)` when another process holds it. The kernel lets go when the holder dies, however it dies.
pub fn hold(directory: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(directory.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// When process `pid` started, in clock ticks since boot; `None` when it does not run (a zombie counts as ended).
fn start_time(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses and may hold anything: count from the last one.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    (fields.next()? != "Z").then_some(())?;
    fields.nth(18).map(str::to_owned)
}

type SpawnRequest = (Command, mpsc::Sender<io::Result<Child>>);

/// Spawns from one thread that never ends, because "the parent died" means to the kernel that the spawning *thread*
/// ended, and the thread of a test ends with the test.
fn spawn_from_lasting_thread(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<mpsc::Sender<SpawnRequest>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (requests, inbox) = mpsc::channel::<SpawnRequest>();
        thread::spawn(move || {
            for (mut command, reply) in inbox {
                let _ = reply.send(command.spawn());
            }
        });
        requests
    });
    let (reply, answer) = mpsc::channel();
    spawner.send((command, reply)).map_err(io::Error::other)?;
    answer.recv().map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY_TERM: StopBy = StopBy { signal: libc::SIGTERM, within: Duration::from_secs(10) };

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_stopped_server_is_gone_and_forgets_its_pid_file() {
        let directory = tempfile::tempdir().unwrap();
        let pid_file = directory.path().join("pid");
        let server =
            Server::spawn(shell("exec sleep 1000"), &directory.path().join("log"), &pid_file, BY_TERM).unwrap();
        let pid = server.id();
        assert!(leftover_runs(&pid_file));
        server.stop();
        assert_eq!(start_time(pid), None);
        assert!(!pid_file.exists());
    }

    #[test]
    fn a_server_that_ignores_the_signal_is_killed() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let stop_by = StopBy { signal: libc::SIGTERM, within: Duration::from_millis(50) };
        let script = "trap '' TERM; echo deaf; while :; do sleep 1000; done";
        let server = Server::spawn(shell(script), &log, &directory.path().join("pid"), stop_by).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while log_tail(&log) != "deaf" && Instant::now() < deadline {
            thread::sleep(PAUSE);
        }
        let pid = server.id();
        server.stop();
        assert_eq!(start_time(pid), None);
    }

    #[test]
    fn a_leftover_is_stopped_but_a_stranger_with_its_pid_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let pid_file = directory.path().join("pid");
        let mut child = shell("exec sleep 1000").spawn().unwrap();

        std::fs::write(&pid_file, format!("{} 1\n", child.id())).unwrap();
        stop_leftover(&pid_file, BY_TERM).unwrap();
        assert!(child.try_wait().unwrap().is_none(), "started at another time, so it is a stranger");

        std::fs::write(&pid_file, format!("{} {}\n", child.id(), start_time(child.id()).unwrap())).unwrap();
        stop_leftover(&pid_file, BY_TERM).unwrap();
        assert!(child.wait().unwrap().code().is_none(), "ended by a signal");
        assert!(!pid_file.exists());
    }

    #[test]
    fn a_directory_is_held_once() {
        let directory = tempfile::tempdir().unwrap();
        let held = hold(directory.path()).unwrap();
        assert!(held.is_some());
        assert!(hold(directory.path()).unwrap().is_none());
        drop(held);
        assert!(hold(directory.path()).unwrap().is_some());
    }
}
