//! A thread that starts processes and never ends, since the kernel kills them when the thread that started them does.

use std::io;
use std::sync::{LazyLock, mpsc};

use parking_lot::Mutex;
use tokio::process::Child;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

static SPAWNER: LazyLock<Mutex<mpsc::Sender<Job>>> = LazyLock::new(|| {
    let (sender, receiver) = mpsc::channel::<Job>();
    let thread = std::thread::Builder::new().name("muster-spawner".to_owned());
    let started = thread.spawn(move || receiver.into_iter().for_each(|job| job()));
    started.expect("a process that cannot start one thread cannot start processes either");
    Mutex::new(sender)
});

/// Starts `command` in the current runtime.
pub(super) async fn spawn(command: std::process::Command) -> io::Result<Child> {
    let (sender, receiver) = oneshot::channel();
    let runtime = Handle::current();
    let job: Job = Box::new(move || {
        let _runtime = runtime.enter();
        let mut command = tokio::process::Command::from(command);
        // The one who asked may be gone; the child is killed when dropped then.
        let _ = sender.send(command.kill_on_drop(true).spawn());
    });
    SPAWNER.lock().send(job).map_err(|_| io::Error::other("the thread that starts processes is gone"))?;
    receiver.await.map_err(io::Error::other)?
}
