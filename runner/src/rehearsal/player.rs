//! Playing the steps of a scene, telling the client of each.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use muster_client::domain::model::Role;
use serde_json::{Value, json};

use super::script::Step;
use super::wire::Client;
use crate::context::TaskContext;

/// How a scene ended.
pub(super) enum Ended {
    /// With the answer to the prompt.
    Turn(Value),
    /// With the process, without an answer.
    Process(i32),
}

/// Plays one scene.
pub(super) struct Player<'a> {
    client: &'a mut Client,
    session: &'a str,
    folder: &'a Path,
    out_dir: &'a Path,
    context: &'a TaskContext,
    calls: u32,
}

impl<'a> Player<'a> {
    pub(super) fn new(
        client: &'a mut Client,
        session: &'a str,
        folder: &'a Path,
        out_dir: &'a Path,
        context: &'a TaskContext,
    ) -> Self {
        Self { client, session, folder, out_dir, context, calls: 0 }
    }

    /// Plays the steps, or what the role does without any.
    pub(super) fn play(mut self, steps: Option<&[Step]>) -> io::Result<Ended> {
        let Some(steps) = steps else { return self.improvise() };
        let entries: Vec<_> = steps
            .iter()
            .map(|step| json!({"content": label(step), "status": "pending", "priority": "medium"}))
            .collect();
        self.update(&json!({"sessionUpdate": "plan", "entries": entries}))?;
        for step in steps {
            if let Some(ended) = self.step(step)? {
                return Ok(ended);
            }
        }
        Ok(end_turn())
    }

    /// What is done where no scene is for the task.
    fn improvise(mut self) -> io::Result<Ended> {
        let TaskContext { role, title, description, verification, .. } = self.context;
        match role {
            Role::Planner => {
                let chunks = json!([{"title": title, "description": description}]);
                self.hand_back(
                    "plan.json",
                    &json!({"plan": format!("# {title}\n\nOne chunk does it."), "chunks": chunks}),
                )?;
                self.say("One chunk does it.\n")?;
            }
            Role::Reviewer => {
                let passed = verification.as_ref().is_none_or(|report| report.passed);
                let review = if passed {
                    json!({"verdict": "accept"})
                } else {
                    json!({"verdict": "changes", "feedback": "Verification fails; make it pass."})
                };
                self.hand_back("review.json", &review)?;
                self.say(if passed { "It passed, so I accept it.\n" } else { "It fails, so it must change.\n" })?;
            }
            _ => self.say("There is no scene for this task, so I change nothing.\n")?,
        }
        Ok(end_turn())
    }

    fn step(&mut self, step: &Step) -> io::Result<Option<Ended>> {
        match step {
            Step::Say { text } => self.say(&format!("{text}\n"))?,
            Step::Write { path, content } => self.write(path, content.clone())?,
            Step::Append { path, content } => {
                let before = std::fs::read_to_string(self.folder.join(path)).unwrap_or_default();
                self.write(path, before + content)?;
            }
            Step::Replace { path, find, replace } => {
                let before = std::fs::read_to_string(self.folder.join(path))?;
                if !before.contains(find) {
                    return Err(io::Error::other(format!("{path} does not contain {find:?}")));
                }
                self.write(path, before.replace(find, replace))?;
            }
            Step::Delete { path } => std::fs::remove_file(self.folder.join(path))?,
            Step::Artifact { name, content } => std::fs::write(self.out_dir.join(name), content)?,
            Step::Sleep { duration_ms } => std::thread::sleep(Duration::from_millis(*duration_ms)),
            Step::WaitForFile { path } => {
                while !self.folder.join(path).exists() {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            Step::Usage { input_tokens, output_tokens, cost_usd, model } => {
                let tokens = json!({"input": input_tokens, "output": output_tokens});
                self.hand_back("result.json", &json!({"tokens": tokens, "cost_usd": cost_usd, "model": model}))?;
            }
            Step::Plan { plan, chunks, estimated_cost_usd } => {
                let plan = json!({"plan": plan, "chunks": chunks, "estimated_cost_usd": estimated_cost_usd});
                self.hand_back("plan.json", &plan)?;
            }
            Step::Review { verdict, feedback } => {
                self.hand_back("review.json", &json!({"verdict": verdict, "feedback": feedback}))?;
            }
            Step::Ask { question, options } => {
                let answers = &self.context.answers;
                let Some((_, answer)) = answers.iter().find(|(asked, _)| asked == question) else {
                    self.hand_back("question.json", &json!({"question": question, "options": options}))?;
                    return Ok(Some(end_turn()));
                };
                self.say(&format!("The answer is: {answer}\n"))?;
            }
            Step::AskPermission { title } => return self.ask_permission(title),
            Step::Print { text } => writeln!(io::stderr(), "{text}")?,
            Step::PrintBinary { size_bytes } => {
                let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(*size_bytes).collect();
                io::stderr().write_all(&bytes)?;
            }
            Step::Exit { code } => return Ok(Some(Ended::Process(*code))),
            Step::Crash => crash()?,
            Step::Hang => loop {
                std::thread::park();
            },
            Step::LeaveProcess => leave_process()?,
            Step::Stop { reason } => return Ok(Some(Ended::Turn(json!({"stopReason": reason})))),
        }
        Ok(None)
    }

    fn update(&mut self, update: &Value) -> io::Result<()> {
        self.client.update(self.session, update)
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.update(&json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}))
    }

    /// Writes through the client where it does that, as agents in editors do.
    fn write(&mut self, path: &str, content: String) -> io::Result<()> {
        self.calls += 1;
        let (id, title) = (format!("call-{}", self.calls), format!("write {path}"));
        self.update(&json!({
            "sessionUpdate": "tool_call", "toolCallId": id, "title": title, "kind": "edit", "status": "in_progress",
        }))?;
        if self.client.writes_files {
            let params = json!({"sessionId": self.session, "path": self.folder.join(path), "content": content});
            self.client.ask("fs/write_text_file", params)?;
        } else {
            let file = self.folder.join(path);
            file.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(file, content)?;
        }
        self.update(
            &json!({"sessionUpdate": "tool_call_update", "toolCallId": id, "status": "completed", "title": title}),
        )
    }

    fn hand_back(&mut self, name: &str, value: &Value) -> io::Result<()> {
        std::fs::write(self.out_dir.join(name), serde_json::to_vec_pretty(value)?)
    }

    /// Goes on when it is allowed to, ends the turn when not.
    fn ask_permission(&mut self, title: &str) -> io::Result<Option<Ended>> {
        let options = json!([
            {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
            {"optionId": "no", "name": "Reject", "kind": "reject_once"},
        ]);
        let call = json!({"toolCallId": "permission", "title": title});
        let params = json!({"sessionId": self.session, "toolCall": call, "options": options});
        let answer = self.client.ask("session/request_permission", params)?;
        let allowed = answer["outcome"]["optionId"] == json!("yes");
        Ok((!allowed).then(|| Ended::Turn(json!({"stopReason": "refusal"}))))
    }
}

fn end_turn() -> Ended {
    Ended::Turn(json!({"stopReason": "end_turn"}))
}

fn label(step: &Step) -> String {
    let value = serde_json::to_value(step).unwrap_or_default();
    let path = value["path"].as_str().or(value["name"].as_str()).unwrap_or_default();
    format!("{} {path}", value["do"].as_str().unwrap_or_default()).trim_end().to_owned()
}

/// Ends this process as the kernel ends one that is out of memory.
fn crash() -> io::Result<()> {
    crate::sys::kill(std::process::id(), libc::SIGKILL)?;
    std::thread::park();
    Ok(())
}

/// Starts a process in a group of its own that ignores its parent's death.
fn leave_process() -> io::Result<()> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("sleep");
    command.arg("600").process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(drop)
}
