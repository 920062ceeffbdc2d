//! Bodies that are JSON and still wrong: each is refused by the name and the path of what is wrong.

use muster_service_kit::Problem;
use muster_service_kit::json::{Shapes, parse_json};
use serde_json::{Value, json};

fn shapes() -> Shapes {
    let schemas = json!({
        "Card": {
            "type": "object",
            "properties": {
                "title": { "type": "string" },
                "points": { "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "null" }] },
                "votes": { "type": "integer", "minimum": 0, "maximum": 2_147_483_647 },
                "offset": { "type": "integer", "minimum": -5, "maximum": 7 },
                "agents": { "type": "object", "additionalProperties": { "$ref": "#/components/schemas/Agent" } },
                "criteria": { "type": "array", "items": { "$ref": "#/components/schemas/Criterion" } },
                "shape": { "$ref": "#/components/schemas/Form" },
                "owner": { "anyOf": [{ "type": "string", "format": "uuid" }, { "type": "null" }] },
                "urgency": { "$ref": "#/components/schemas/Urgency" },
            },
            "required": ["title"],
            "additionalProperties": false,
        },
        "Agent": {
            "type": "object",
            "properties": { "model": { "type": "string" }, "cost": { "type": "number" } },
            "additionalProperties": false,
        },
        "Urgency": { "type": "string", "enum": ["low", "high"] },
        "Criterion": { "oneOf": [{ "type": "string" }, { "$ref": "#/components/schemas/Agent" }] },
        "Form": {
            "oneOf": [{ "$ref": "#/components/schemas/Round" }],
            "discriminator": { "propertyName": "type", "mapping": { "round": "#/components/schemas/Round" } },
        },
        "Round": {
            "type": "object",
            "properties": { "type": { "const": "round" }, "radius": { "type": "integer" } },
            "required": ["type", "radius"],
            "additionalProperties": false,
        },
    });
    Shapes::of_schemas(schemas.as_object().expect("an object"))
}

fn refused(body: &str) -> (String, Value) {
    let problem = shapes().one("Card").parse::<Value>(body.as_bytes()).expect_err(body);
    parts(&problem)
}

fn parts(problem: &Problem) -> (String, Value) {
    (problem.code().code.to_owned(), problem.extension("path").cloned().unwrap_or_default())
}

fn is(code: &str, path: &str) -> (String, Value) {
    (code.to_owned(), json!(path))
}

#[test]
fn what_fits_is_taken() {
    for body in [
        r#"{"title":"t"}"#,
        r#"{"title":"t","points":null,"agents":{"coder":{"model":"m","cost":1}},"criteria":["a",{"model":"m"}]}"#,
        r#"{"title":"t","points":18446744073709551615,"shape":{"radius":-1,"type":"round"}}"#,
        r#"{"title":"t","agents":{"a":{"cost":-1.5e3}}}"#,
        r#"{"title":"t","urgency":"low","owner":"0199D6A0-0000-7000-8000-000000000001"}"#,
    ] {
        let value: Value = shapes().one("Card").parse(body.as_bytes()).expect(body);
        assert_eq!(value, serde_json::from_str::<Value>(body).unwrap());
    }
}

#[test]
fn an_unknown_field_is_found_at_any_depth() {
    assert_eq!(refused(r#"{"title":"t","colour":1}"#), is("unknown_field", "colour"));
    let deep = r#"{"title":"t","agents":{"coder":{"modle":"m"}}}"#;
    assert_eq!(refused(deep), is("unknown_field", "agents.coder.modle"));
    assert_eq!(refused(r#"{"title":"t","criteria":["a",{"x":1}]}"#), is("unknown_field", "criteria[1].x"));
    let tagged = r#"{"title":"t","shape":{"radius":1,"diameter":2,"type":"round"}}"#;
    assert_eq!(refused(tagged), is("unknown_field", "shape.diameter"));
    let problem = shapes().one("Card").parse::<Value>(deep.as_bytes()).unwrap_err();
    assert_eq!(problem.extension("field"), Some(&json!("modle")));
    assert!(problem.message().contains("`cost`, `model`"), "{problem}");
}

#[test]
fn a_field_given_twice_is_refused_whoever_knows_it() {
    assert_eq!(refused(r#"{"title":"t","title":"t"}"#), is("duplicate_field", "title"));
    let deep = r#"{"title":"t","agents":{"a":{},"b":{"model":"1","model":"2"}}}"#;
    assert_eq!(refused(deep), is("duplicate_field", "agents.b.model"));
    assert_eq!(refused(r#"{"title":"t","agents":{"a":{},"a":{}}}"#), is("duplicate_field", "agents.a"));
    // One of the two is written otherwise.
    assert_eq!(refused("{\"title\":\"t\",\"t\\u0069tle\":\"u\"}"), is("duplicate_field", "title"));
    let plain = parse_json::<Value>(br#"[{"a":[{"b":1,"b":1}]}]"#).unwrap_err();
    assert_eq!(parts(&plain), is("duplicate_field", "[0].a[0].b"));
    let many: Vec<_> = (0..5_000).map(|number| format!("\"n{number}\":1")).collect();
    let many = format!("{{{},\"n0\":2}}", many.join(","));
    assert_eq!(parts(&parse_json::<Value>(many.as_bytes()).unwrap_err()), is("duplicate_field", "n0"));
}

#[test]
fn a_value_of_another_kind_is_named_with_its_path() {
    for points in ["-1", "1.0", "1.5", "\"1\"", "[]", "18446744073709551616", "true"] {
        assert_eq!(refused(&format!(r#"{{"title":"t","points":{points}}}"#)), is("invalid_body", "points"), "{points}");
    }
    assert_eq!(refused(r#"{"title":null}"#), is("invalid_body", "title"));
    assert_eq!(refused(r#"{"title":"t","criteria":["a",7]}"#), is("invalid_body", "criteria[1]"));
    assert_eq!(refused(r#"{"title":"t","agents":{"a":[]}}"#), is("invalid_body", "agents.a"));
    assert_eq!(refused("[]").0, "invalid_body");
    assert_eq!(refused(r#"{"title":"t","shape":{"type":"round"}}"#), is("invalid_body", "shape.radius"));
    assert_eq!(refused("{}"), is("invalid_body", "title"));
}

#[test]
fn text_that_is_none_of_the_choices_or_no_uuid_is_named_with_its_path() {
    let told = |body: &str| shapes().one("Card").parse::<Value>(body.as_bytes()).expect_err(body);
    let urgency = told(r#"{"title":"t","urgency":"hgih"}"#);
    assert_eq!(parts(&urgency), is("invalid_body", "urgency"));
    assert_eq!(urgency.message(), "urgency: `hgih` is there and one of `low`, `high` is expected.");
    assert_eq!(refused(r#"{"title":"t","owner":"0199d6a0"}"#), is("invalid_body", "owner"));
    assert_eq!(refused(r#"{"title":"t","owner":7}"#), is("invalid_body", "owner"));
    let long = told(&format!(r#"{{"title":"t","owner":"{}"}}"#, "\u{e9}".repeat(1_000)));
    assert!(long.message().len() < 200 && long.message().contains("a UUID is expected"), "{long}");
    // What an object is to be is its tag's to say.
    for (shape, path) in
        [(r#"{"type":"square"}"#, "shape.type"), (r#"{"type":7}"#, "shape.type"), (r#"{"radius":1}"#, "shape.type")]
    {
        assert_eq!(refused(&format!(r#"{{"title":"t","shape":{shape}}}"#)), is("invalid_body", path), "{shape}");
    }
    assert_eq!(told(r#"{"title":"t","shape":{}}"#).extension("field"), Some(&json!("type")));
}

#[test]
fn a_number_beyond_its_range_is_named_with_its_path() {
    let body = |name: &str, value: &str| format!(r#"{{"title":"t","{name}":{value}}}"#);
    for (name, least, most) in [("votes", "0", "2147483647"), ("offset", "-5", "7")] {
        for value in [least, most] {
            let body = body(name, value);
            shapes().one("Card").parse::<Value>(body.as_bytes()).expect(&body);
        }
    }
    for (name, value) in [
        ("votes", "2147483648"),
        ("votes", "-1"),
        ("votes", "18446744073709551616"),
        ("offset", "8"),
        ("offset", "-6"),
        ("offset", "18446744073709551615"),
        ("offset", "-9223372036854775809"),
        ("points", "18446744073709551616"),
    ] {
        assert_eq!(refused(&body(name, value)), is("invalid_body", name), "{name}: {value}");
    }
    let problem = shapes().one("Card").parse::<Value>(body("votes", "2147483648").as_bytes()).unwrap_err();
    assert_eq!(problem.message(), "votes: 2147483648 is there and a whole number from 0 to 2147483647 is expected.");
}

#[test]
fn a_fault_in_a_list_says_which() {
    let body = br#"[{"title":"a"},{"title":"b","x":1}]"#;
    let problem = shapes().list("Card").parse::<Value>(body).unwrap_err();
    assert_eq!(parts(&problem), is("unknown_field", "[1].x"));
    assert_eq!(problem.extension("index"), Some(&json!(1)));
    assert_eq!(shapes().list("Card").parse::<Value>(b"{}").unwrap_err().code().code, "invalid_body");
}

#[test]
fn what_the_caller_did_not_send_is_left_out_of_the_path() {
    let problem =
        shapes().one("Card").within("shape.").parse::<Value>(br#"{"title":"t","shape":{"type":"round","x":1}}"#);
    assert_eq!(parts(&problem.unwrap_err()), is("unknown_field", "x"));
}

#[test]
fn text_with_a_nul_is_refused_unless_programs_wrote_it() {
    let body = r#"{"title":"a\u0000b"}"#;
    assert_eq!(refused(body), is("invalid_body", "title"));
    assert_eq!(refused(r#"{"title":"t","agents":{"\u0000":{}}}"#).0, "invalid_body");
    assert!(shapes().one("Card").any_text().parse::<Value>(body.as_bytes()).is_ok());
}

#[test]
fn what_no_machine_can_read_is_malformed() {
    let nested = format!("{{\"title\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    for body in
        [nested.as_bytes(), b"{\"title\":1e999}", b"{\"title\":\"\xff\"}", b"{\"\xff\":1}", b"{\"title\":\"\\ud800\"}"]
    {
        let problem = shapes().one("Card").parse::<Value>(body).unwrap_err();
        assert_eq!(problem.code().code, "malformed_json", "{problem}");
    }
}
