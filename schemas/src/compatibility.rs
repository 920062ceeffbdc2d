//! Whether a schema may follow others: FULL_TRANSITIVE, which means that every version reads every other version's data.
//!
//! It must never look at this build's catalogue: a registry asks it about any two schemas.

use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};

/// Why a schema may not follow another. The edit must be undone, or given a default; never retried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// One of the texts is no Avro schema.
    #[error("not an Avro schema: {0}")]
    NotASchema(Box<apache_avro::Error>),
    /// One of them is named otherwise, which makes it another type.
    #[error("it is named {new}, the earlier version {old}")]
    Renamed {
        /// Name in the earlier version.
        old: String,
        /// Name now.
        new: String,
    },
    /// A reader with `reader`'s schema cannot read what was written with the other.
    #[error("a reader of the {reader} version cannot read data of the other: {reason}")]
    Unreadable {
        /// `earlier` or `new`.
        reader: &'static str,
        /// What stands in the way.
        reason: String,
    },
    /// A reader with `reader`'s schema can read some data of the other, not all of it.
    #[error("a reader of the {reader} version cannot read all data of the other: a symbol or union branch is missing")]
    PartlyReadable {
        /// `earlier` or `new`.
        reader: &'static str,
    },
}

fn parse(json: &str) -> Result<Schema, Error> {
    Schema::parse_str(json).map_err(|error| Error::NotASchema(Box::new(error)))
}

fn one_way(writer: &Schema, reader: &Schema, reader_name: &'static str) -> Result<(), Error> {
    match SchemaCompatibility::can_read(writer, reader) {
        Ok(Compatibility::Full) => Ok(()),
        Ok(Compatibility::Partial) => Err(Error::PartlyReadable { reader: reader_name }),
        Err(error) => Err(Error::Unreadable { reader: reader_name, reason: error.to_string() }),
    }
}

/// Checks that data of `old` is readable with `new` and data of `new` with `old`. Both are `.avsc` texts.
pub fn check(old: &str, new: &str) -> Result<(), Error> {
    let (old, new) = (parse(old)?, parse(new)?);
    let name = |schema: &Schema| schema.name().map(|name| name.fullname(None)).unwrap_or_default();
    if name(&old) != name(&new) {
        return Err(Error::Renamed { old: name(&old), new: name(&new) });
    }
    one_way(&old, &new, "new")?;
    one_way(&new, &old, "earlier")
}
