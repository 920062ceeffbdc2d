//! Where a command or event came from. Written as `orchestrator`, `tui`, `web`, `mobile`, `cli` or `agent:<role>`.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::values::{Role, UnknownValue};

/// The surface or service that a command or event came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Muster itself: the command service, a runner.
    Orchestrator,
    /// The terminal interface.
    Tui,
    /// The web page.
    Web,
    /// A phone.
    Mobile,
    /// The command line.
    Cli,
    /// An agent in a role.
    Agent(Role),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Orchestrator => f.write_str("orchestrator"),
            Self::Tui => f.write_str("tui"),
            Self::Web => f.write_str("web"),
            Self::Mobile => f.write_str("mobile"),
            Self::Cli => f.write_str("cli"),
            Self::Agent(role) => write!(f, "agent:{role}"),
        }
    }
}

impl FromStr for Source {
    type Err = UnknownValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "orchestrator" => Ok(Self::Orchestrator),
            "tui" => Ok(Self::Tui),
            "web" => Ok(Self::Web),
            "mobile" => Ok(Self::Mobile),
            "cli" => Ok(Self::Cli),
            _ => match text.strip_prefix("agent:") {
                Some(role) => role.parse().map(Self::Agent),
                None => Err(UnknownValue { kind: "Source", text: text.chars().take(64).collect() }),
            },
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_returns_from_its_text() {
        let sources =
            [Source::Orchestrator, Source::Tui, Source::Web, Source::Mobile, Source::Cli, Source::Agent(Role::Coder)];
        for source in sources {
            assert_eq!(source.to_string().parse::<Source>().unwrap(), source);
        }
        assert!("agent:king".parse::<Source>().is_err());
        assert!("fax".parse::<Source>().is_err());
    }
}
