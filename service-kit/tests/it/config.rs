//! Layers, conversions and refusals of the configuration.

use std::fs;

use muster_service_kit::config::{Config, Error, Loader, LogFormat, LogKind, Sandbox};
use serde::Serialize;
use serde_json::json;

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn from_variables(pairs: &[(&str, &str)]) -> Result<Config, Error> {
    Loader::empty().variables(variables(pairs)).load()
}

fn from_toml(text: &str) -> Result<Config, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, text).unwrap();
    Loader::empty().file(&path).load()
}

#[test]
fn without_layers_the_defaults_hold() {
    let config = Loader::empty().load().unwrap();

    assert_eq!(config, Config::default());
    assert_eq!(config.http.max_body_bytes, 1_048_576);
    assert_eq!(config.log.kind, LogKind::Postgres);
    assert_eq!(config.query.subscriber_buffer, 100);
    assert_eq!(config.runner.sandbox, Sandbox::Auto);
}

#[test]
fn each_layer_lies_above_the_one_before() {
    #[derive(Serialize)]
    struct Flags {
        http: HttpFlags,
    }
    #[derive(Serialize)]
    struct HttpFlags {
        host: Option<String>,
        port: Option<u16>,
    }
    let dir = tempfile::tempdir().unwrap();
    let (user, project) = (dir.path().join("user.toml"), dir.path().join("project.toml"));
    fs::write(&user, "[http]\nport = 2\nhost = 'user'\nrequest_timeout_ms = 2\nshutdown_grace_ms = 2\n").unwrap();
    fs::write(&project, "[http]\nport = 3\nhost = 'project'\nrequest_timeout_ms = 3\n").unwrap();

    let config = Loader::empty()
        .service_defaults(json!({ "http": { "port": 1, "max_body_bytes": 1 } }))
        .file(&user)
        .file(&project)
        .file(dir.path().join("absent.toml"))
        .variables(variables(&[("MUSTER_HTTP__PORT", "4"), ("MUSTER_HTTP__HOST", "variable")]))
        .flags(Flags { http: HttpFlags { host: None, port: Some(5) } })
        .load()
        .unwrap();

    assert_eq!(config.http.max_body_bytes, 1, "the service's default");
    assert_eq!(config.http.shutdown_grace_ms, 2, "the user's file");
    assert_eq!(config.http.request_timeout_ms, 3, "the project's file");
    assert_eq!(config.http.host, "variable", "a flag that was not given leaves the variable");
    assert_eq!(config.http.port, 5, "the flag");
}

#[test]
fn variables_are_converted_to_the_type_of_their_key() {
    let config = from_variables(&[
        ("MUSTER_COMMAND__MAILBOX_CAPACITY", "17"),
        ("MUSTER_LOG__KIND", "kafka"),
        ("MUSTER_LOG__KAFKA__TOPIC_PREFIX", "42"),
        ("MUSTER_LOG__KAFKA__EXTRA__SECURITY_PROTOCOL", "SSL"),
        ("MUSTER_RUNNER__TOKEN", "0123456789"),
        ("MUSTER_RUNNER__ROLES", "coder, tester"),
        ("MUSTER_RUNNER__ALLOW_COMMAND_AGENTS", "true"),
        ("MUSTER_READ_STORE__URL", "postgres://u:p@h/d"),
        ("MUSTER_TELEMETRY__LOG_FORMAT", "json"),
        ("MUSTER_AUTH__TOKENS", r#"[{token="t", user="alice", admin=true}]"#),
    ])
    .unwrap();

    assert_eq!(config.command.mailbox_capacity, 17);
    assert_eq!(config.log.kind, LogKind::Kafka);
    assert_eq!(config.log.kafka.topic_prefix, "42", "text that looks like a number stays text");
    assert_eq!(config.log.kafka.librdkafka_properties()["security.protocol"], "SSL");
    assert_eq!(config.runner.token.unwrap().expose(), "0123456789");
    assert_eq!(config.runner.roles, ["coder", "tester"]);
    assert!(config.runner.allow_command_agents);
    assert_eq!(config.read_store.url.unwrap().expose(), "postgres://u:p@h/d");
    assert_eq!(config.telemetry.log_format, LogFormat::Json);
    assert_eq!(config.auth.tokens[0].user, "alice");
    assert!(config.auth.tokens[0].admin);
}

#[test]
fn variables_that_are_not_configuration_are_passed_over() {
    let config = from_variables(&[
        ("MUSTER_TEST_POSTGRES_URL", "x"),
        ("MUSTER_URL", "x"),
        ("MUSTER_TOKEN", "x"),
        ("MUSTER_CACHE_DIR", "x"),
        ("MUSTER_PG_BIN", "x"),
        ("PATH", "x"),
    ]);

    assert_eq!(config.unwrap(), Config::default());
}

#[test]
fn an_unknown_variable_is_refused_by_name() {
    let error = from_variables(&[("MUSTER_HTTP__PROT", "1")]).unwrap_err().to_string();

    assert!(error.contains("`http.prot`"), "{error}");
    assert!(error.contains("MUSTER_HTTP__PROT"), "{error}");
    assert!(error.contains("`port`"), "the known keys are a hint: {error}");
}

#[test]
fn an_unknown_key_of_a_file_is_refused_with_key_and_path() {
    let error = from_toml("[quary]\nmax_depth = 1\n").unwrap_err().to_string();

    assert!(error.contains("`quary`"), "{error}");
    assert!(error.contains("config.toml"), "{error}");
}

#[test]
fn an_unknown_key_inside_a_token_is_refused() {
    let error = from_toml("[[auth.tokens]]\ntoken = 't'\nuser = 'u'\nadmn = true\n").unwrap_err().to_string();

    assert!(error.contains("admn"), "{error}");
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_key_and_source() {
    let from_variable = from_variables(&[("MUSTER_HTTP__PORT", "eighty")]).unwrap_err().to_string();
    let from_file = from_toml("[http]\nport = 'eighty'\n").unwrap_err().to_string();

    assert!(from_variable.contains("MUSTER_HTTP__PORT"), "{from_variable}");
    assert!(from_file.contains("http.port") && from_file.contains("config.toml"), "{from_file}");
}

#[test]
fn keys_of_librdkafka_are_free() {
    let config = from_toml("[log.kafka.extra]\n\"ssl.ca.location\" = '/ca.pem'\n").unwrap();

    assert_eq!(config.log.kafka.librdkafka_properties()["ssl.ca.location"], "/ca.pem");
}

#[test]
fn values_that_cannot_work_are_refused_by_key() {
    let cases = [
        ("[http]\nmax_body_bytes = 0\n", "http.max_body_bytes"),
        ("[command]\nmailbox_max_bytes = 0\n", "command.mailbox_max_bytes"),
        ("[command]\nrequests_max_bytes = 1000000\n", "command.requests_max_bytes"),
        ("[query]\npage_size_default = 600\n", "query.page_size_default"),
        ("[command]\nlease_default_ms = 600001\n", "command.lease_default_ms"),
        ("[runner]\nheartbeat_ms = 40000\n", "runner.heartbeat_ms"),
        ("[http.tls]\ncert_file = 'c.pem'\n", "http.tls"),
        ("[auth]\ninstance_token = 'short'\n", "auth.instance_token"),
        ("[auth]\ninstance_token = 'with a space in between'\n", "auth.instance_token"),
        (
            "[auth]\ninstance_token = 'what-a-user-has-too'\n[[auth.tokens]]\nuser = 'u'\ntoken = 'what-a-user-has-too'\n",
            "auth.instance_token",
        ),
        ("[[auth.tokens]]\nuser = 'u'\n", "auth.tokens[0]"),
        ("[[auth.tokens]]\nuser = 'u'\ntoken = 't'\ntoken_file = 'f'\n", "auth.tokens[0]"),
        ("[[auth.tokens]]\nuser = 'u'\ntoken = ' '\n", "auth.tokens[0]"),
        ("[[auth.tokens]]\nuser = ''\ntoken = 't'\n", "auth.tokens[0]"),
    ];
    for (text, key) in cases {
        let error = from_toml(text).unwrap_err();
        assert!(matches!(&error, Error::Value { key: refused, .. } if refused == key), "{text}: {error}");
    }
}

#[test]
fn flags_that_lost_a_secret_on_the_way_are_refused() {
    let mut config = Config::default();
    config.runner.token = Some("hunter2".into());

    let error = Loader::empty().flags(&config).load().unwrap_err();

    assert!(matches!(error, Error::Flags(_)), "{error}");
}

#[test]
fn no_secret_is_printed() {
    let config = from_variables(&[
        ("MUSTER_LOG__POSTGRES_URL", "postgres://u:hunter2@h/d"),
        ("MUSTER_LOG__KAFKA__EXTRA__SASL_PASSWORD", "hunter2"),
        ("MUSTER_RUNNER__TOKEN", "hunter2"),
        ("MUSTER_AUTH__TOKENS", r#"[{token="hunter2", user="alice"}]"#),
    ])
    .unwrap();

    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!toml::to_string(&config).unwrap().contains("hunter2"));
}
