//! In which media type a client speaks, and in which it wants to be answered.

use axum::http::{HeaderMap, header};
use mime::Mime;

/// What a response to a GraphQL request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaType {
    /// `application/graphql-response+json`: the status tells whether the request was executed.
    GraphqlResponse,
    /// `application/json`: as a proxy may answer in it too, a status of 200 only tells that this is a GraphQL response.
    Json,
}

impl MediaType {
    const ALL: [Self; 2] = [Self::GraphqlResponse, Self::Json];

    /// Its name.
    const fn essence(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json",
            Self::Json => "application/json",
        }
    }

    /// The header's value.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }

    /// What a client accepts that says so in these headers; none where that is neither.
    ///
    /// Of two that it likes as much it gets the one that says more. Who does not care gets JSON, as they always did.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let ranges = ranges(headers);
        if ranges.is_empty() {
            return Some(Self::Json);
        }
        Self::ALL
            .into_iter()
            .filter_map(|media| {
                let (specificity, quality) = preference(&ranges, media.essence())?;
                let named = specificity == Specificity::Exact;
                let rank = named == (media == Self::GraphqlResponse);
                Some(((quality, specificity, rank), media))
            })
            .max_by_key(|(preference, _)| *preference)
            .map(|(_, media)| media)
    }
}

/// Whether a client accepts a media type.
pub(super) fn accepts(headers: &HeaderMap, essence: &str) -> bool {
    let ranges = ranges(headers);
    ranges.is_empty() || preference(&ranges, essence).is_some()
}

/// Whether the body is JSON in UTF-8, as its headers say.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok()?.parse::<Mime>().ok());
    content_type.is_some_and(|mime| mime.essence_str() == "application/json" && is_utf8(&mime))
}

/// Whether the body is as it is, and not compressed in a way that would have to be undone first.
pub(super) fn is_identity(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity"))
}

/// The media ranges of `Accept`; what cannot be read of it is as good as not there.
fn ranges(headers: &HeaderMap) -> Vec<Mime> {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.trim().parse().ok())
        .collect()
}

/// How closely a range names a media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    Any,
    Group,
    Exact,
}

/// How closely the ranges name a media type, and how much it is liked, in thousandths: the range that says most about it
/// decides. None where it is not acceptable.
fn preference(ranges: &[Mime], essence: &str) -> Option<(Specificity, u16)> {
    let (group, _) = essence.split_once('/')?;
    let preference = ranges
        .iter()
        .filter(|range| is_utf8(range))
        .filter_map(|range| {
            let specificity = if range.essence_str() == essence {
                Specificity::Exact
            } else if range.subtype() == mime::STAR && range.type_() == group {
                Specificity::Group
            } else if *range.essence_str() == *"*/*" {
                Specificity::Any
            } else {
                return None;
            };
            Some((specificity, quality(range)))
        })
        .max()?;
    (preference.1 > 0).then_some(preference)
}

/// The weight of a range, in thousandths: a digit, and three at most behind the point.
fn quality(range: &Mime) -> u16 {
    let Some(text) = range.get_param("q") else {
        return 1000;
    };
    let (whole, part) = text.as_str().split_once('.').unwrap_or((text.as_str(), ""));
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    match (whole, part.parse::<u16>()) {
        ("0" | "", Ok(thousandths)) => thousandths,
        _ => 1000,
    }
}

/// Whether text in it is in UTF-8, which is what it is where nothing is said.
fn is_utf8(mime: &Mime) -> bool {
    mime.get_param(mime::CHARSET).is_none_or(|charset| {
        charset == mime::UTF_8 || charset.as_str().eq_ignore_ascii_case("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn the_media_type_is_the_one_that_the_client_likes_best() {
        use MediaType::{GraphqlResponse, Json};
        assert_eq!(MediaType::accepted(&HeaderMap::new()), Some(Json));
        for (accept, expected) in [
            ("*/*", Some(Json)),
            ("application/*", Some(Json)),
            ("application/json", Some(Json)),
            ("application/graphql-response+json", Some(GraphqlResponse)),
            ("APPLICATION/GraphQL-Response+JSON", Some(GraphqlResponse)),
            (
                "application/graphql-response+json; charset=utf-8",
                Some(GraphqlResponse),
            ),
            (
                "application/json, application/graphql-response+json",
                Some(GraphqlResponse),
            ),
            (
                "application/graphql-response+json;q=0.8, application/json",
                Some(Json),
            ),
            (
                "application/graphql-response+json, application/json;q=0.9",
                Some(GraphqlResponse),
            ),
            (
                "application/graphql-response+json, */*;q=0.1",
                Some(GraphqlResponse),
            ),
            ("application/json;q=0, */*", Some(GraphqlResponse)),
            (
                "application/json;q=0, application/graphql-response+json;q=0.000, */*",
                None,
            ),
            ("text/html, application/xhtml+xml, */*;q=0.8", Some(Json)),
            ("application/json; charset=iso-8859-1", None),
            ("text/html", None),
            ("text/event-stream", None),
            ("application/graphql+json", None),
            ("nonsense, application/json", Some(Json)),
        ] {
            let headers = headers(header::ACCEPT, accept);
            assert_eq!(MediaType::accepted(&headers), expected, "{accept}");
        }
    }

    #[test]
    fn a_body_is_json_in_utf_8_or_none_of_ours() {
        for (content_type, expected) in [
            ("application/json", true),
            ("Application/JSON", true),
            ("application/json;charset=utf-8", true),
            ("application/json; charset=\"UTF-8\"", true),
            ("application/json; charset=utf-16", false),
            ("application/graphql", false),
            ("application/graphql-response+json", false),
            ("text/plain", false),
            ("multipart/form-data; boundary=x", false),
            ("application/x-www-form-urlencoded", false),
            ("", false),
        ] {
            let headers = headers(header::CONTENT_TYPE, content_type);
            assert_eq!(is_json(&headers), expected, "{content_type}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
