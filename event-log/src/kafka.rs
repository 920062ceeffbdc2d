//! The log in Apache Kafka, with a schema registry.
