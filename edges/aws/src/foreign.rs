//! Answers to requests for services that are not there, in the form that their clients read.

use bytes::Bytes;
use dormouse_model::RequestId;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

/// The code, in all forms.
const CODE: &str = "NotImplementedException";

/// The answer: status 501 and a sentence that names the service.
pub(crate) fn not_there(service: &str, headers: &HeaderMap, id: RequestId) -> Response<Bytes> {
    let message =
        format!("The service {service} is not part of this version of Dormouse; docs/status.md lists what is.");
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let json = headers.contains_key("x-amz-target") || content_type.contains("json");
    let (content_type, body) = if json {
        let body = serde_json::json!({ "__type": CODE, "message": message });
        ("application/x-amz-json-1.1", body.to_string())
    } else if service == "s3" {
        let error = format!("<Code>NotImplemented</Code><Message>{message}</Message><RequestId>{id}</RequestId>");
        ("application/xml", format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>{error}</Error>"))
    } else {
        let error = format!("<Type>Sender</Type><Code>{CODE}</Code><Message>{message}</Message>");
        ("text/xml", format!("<ErrorResponse><Error>{error}</Error><RequestId>{id}</RequestId></ErrorResponse>"))
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(CODE));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_client_gets_what_it_reads() {
        let id = "00000000-0000-4000-8000-000000000000".parse().expect("a UUID");
        let body = |service: &str, headers: &HeaderMap| {
            let response = not_there(service, headers, id);
            assert_eq!(response.status(), 501);
            String::from_utf8(response.into_body().to_vec()).expect("text")
        };
        let mut target = HeaderMap::new();
        target.insert("x-amz-target", HeaderValue::from_static("DynamoDB_20120810.ListTables"));
        assert!(body("dynamodb", &target).contains(r#""__type":"NotImplementedException""#));
        assert!(body("s3", &HeaderMap::new()).contains("<Code>NotImplemented</Code>"));
        assert!(body("sns", &HeaderMap::new()).contains("The service sns is not part of this version"));
    }
}
