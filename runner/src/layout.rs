//! Where things lie under the runner's data directory. It must never know what a run does.
//!
//! ```text
//! sessions/<session>/session.json  whose lease this is, for cleaning up after a crash
//!                    workspace/    the git worktree
//!                    data/         the agent's HOME
//!                    artifacts/    what the agent hands back ($MUSTER_OUT_DIR)
//!                    context/      what the agent is told ($MUSTER_TASK_FILE)
//! runs/<run>/output.log            every line the run put out
//!            iteration-<n>/        agent.json, verification.json
//!            artifacts/            what the agent left beside the contract's files
//! ```

use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// The runner's data directory.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout under `root`, which becomes absolute and is made if absent.
    pub fn create(root: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(root.join("sessions"))?;
        std::fs::create_dir_all(root.join("runs"))?;
        Ok(Self { root: root.canonicalize()? })
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder that holds every session's folder.
    pub fn sessions(&self) -> PathBuf {
        self.root.join("sessions")
    }

    /// The folders of one session.
    pub fn session(&self, id: Uuid) -> SessionFolders {
        SessionFolders { id, root: self.sessions().join(id.to_string()) }
    }

    /// The files of one run.
    pub fn run(&self, id: Uuid) -> RunFolder {
        RunFolder { root: self.root.join("runs").join(id.to_string()) }
    }
}

/// The folders of one session.
#[derive(Debug, Clone)]
pub struct SessionFolders {
    /// The session.
    pub id: Uuid,
    root: PathBuf,
}

impl SessionFolders {
    /// The folder that holds the others.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The git worktree.
    pub fn workspace(&self) -> PathBuf {
        self.root.join("workspace")
    }

    /// The agent's HOME.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The agent's TMPDIR.
    pub fn temporary(&self) -> PathBuf {
        self.data().join("tmp")
    }

    /// What the agent hands back.
    pub fn artifacts(&self) -> PathBuf {
        self.root.join("artifacts")
    }

    /// What the agent is told.
    pub fn context(&self) -> PathBuf {
        self.root.join("context")
    }

    /// Whose lease this is.
    pub fn record(&self) -> PathBuf {
        self.root.join("session.json")
    }

    /// Makes all folders but the workspace, which git makes.
    pub fn create(&self) -> io::Result<()> {
        for folder in [self.temporary(), self.artifacts(), self.context()] {
            std::fs::create_dir_all(folder)?;
        }
        Ok(())
    }
}

/// The files of one run. They outlive the session.
#[derive(Debug, Clone)]
pub struct RunFolder {
    root: PathBuf,
}

impl RunFolder {
    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Every line the run put out.
    pub fn log(&self) -> PathBuf {
        self.root.join("output.log")
    }

    /// What the agent of an iteration came to.
    pub fn agent_result(&self, iteration: u32) -> PathBuf {
        self.root.join(format!("iteration-{iteration}")).join("agent.json")
    }

    /// What the verification of an iteration came to.
    pub fn verification(&self, iteration: u32) -> PathBuf {
        self.root.join(format!("iteration-{iteration}")).join("verification.json")
    }

    /// What the agent left beside the contract's files.
    pub fn artifacts(&self) -> PathBuf {
        self.root.join("artifacts")
    }
}
