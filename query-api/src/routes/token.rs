//! Tokens where no header can be set: browsers' `EventSource` and `WebSocket` take an address and nothing else.

use http::HeaderMap;
use muster_service_kit::{Caller, Problem};

use super::Service;

/// The value of `token` in a query string, with `%xx` decoded.
pub(super) fn from_query(query: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("token="))?;
    decoded(value).filter(|token| !token.is_empty())
}

/// The caller by the header `Authorization`, or by `token` in the query string.
pub(super) fn caller(service: &Service, headers: &HeaderMap, query: Option<&str>) -> Result<Caller, Problem> {
    if headers.contains_key(http::header::AUTHORIZATION) {
        return Caller::from_headers(&service.authenticator, headers);
    }
    let mut with_token = headers.clone();
    if let Some(token) = query.and_then(from_query)
        && let Ok(value) = http::HeaderValue::from_str(&format!("Bearer {token}"))
    {
        with_token.insert(http::header::AUTHORIZATION, value);
    }
    Caller::from_headers(&service.authenticator, &with_token)
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            b'+' => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_and_decodes_the_token() {
        assert_eq!(from_query("a=1&token=x%2By%20z").as_deref(), Some("x+y z"));
        assert_eq!(from_query("token="), None);
        assert_eq!(from_query("token=%4"), None);
        assert_eq!(from_query("tokens=1"), None);
    }
}
