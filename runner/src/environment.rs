//! The environment of a session's processes, made from nothing: no variable of ours gets in by accident.

use std::collections::BTreeMap;
use std::path::Path;

use muster_client::domain::command::WorkOrder;

use crate::layout::SessionFolders;

/// Variables that say where tools are installed. They hold paths, not secrets.
const TOOL_VARIABLES: [&str; 9] =
    ["RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "PYENV_ROOT", "NVM_DIR", "VOLTA_HOME", "JAVA_HOME", "GOROOT", "TZ", "LC_ALL"];

/// The environment of verification commands: where programs are, and a home of the session's own.
pub fn for_checks(session: &SessionFolders) -> BTreeMap<String, String> {
    let mut env: BTreeMap<_, _> =
        TOOL_VARIABLES.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect();
    // rustup's programs look for their toolchains in the home, which is another one here.
    if let Some(home) = std::env::home_dir()
        && home.join(".rustup").is_dir()
    {
        env.entry("RUSTUP_HOME".to_owned()).or_insert_with(|| home.join(".rustup").to_string_lossy().into_owned());
    }
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    let lang = std::env::var("LANG").unwrap_or_else(|_| "C.UTF-8".to_owned());
    env.extend([
        ("PATH".to_owned(), path),
        ("LANG".to_owned(), lang),
        ("HOME".to_owned(), session.data().to_string_lossy().into_owned()),
        ("TMPDIR".to_owned(), session.temporary().to_string_lossy().into_owned()),
    ]);
    env
}

/// The environment of an agent: as for checks, what the project grants it, and what it is asked.
pub fn for_agent(
    session: &SessionFolders,
    order: &WorkOrder,
    iteration: u32,
    task_file: &Path,
) -> BTreeMap<String, String> {
    let mut env = for_checks(session);
    env.extend(order.agent.env.clone());
    let mut tell = |name: &str, value: String| env.insert(format!("MUSTER_{name}"), value);
    tell("ROLE", order.role.to_string());
    tell("TASK_ID", order.task_id.to_string());
    tell("RUN_ID", order.run_id.to_string());
    tell("ITERATION", iteration.to_string());
    tell("TASK_FILE", task_file.to_string_lossy().into_owned());
    tell("OUT_DIR", session.artifacts().to_string_lossy().into_owned());
    if let Some(model) = &order.agent.model {
        tell("MODEL", model.clone());
    }
    env
}
