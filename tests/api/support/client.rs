//! Calls that read like sentences: `shop.post("/orders").token(&ama).json(&body).send().await`.

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::TestApp;

/// A request being built.
pub struct Call(reqwest::RequestBuilder);

/// An answer. A body that is not JSON is a JSON string.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
    pub text: String,
}

impl TestApp {
    /// `path` is under `/api/v1`, unless it starts with `http` or `//`, which is the server's root.
    fn call(&self, method: reqwest::Method, path: &str) -> Call {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else if let Some(root) = path.strip_prefix('/').filter(|rest| rest.starts_with('/')) {
            format!("{}{root}", self.url)
        } else {
            format!("{}/api/v1{path}", self.url)
        };
        Call(self.http.request(method, url))
    }

    pub fn get(&self, path: &str) -> Call {
        self.call(reqwest::Method::GET, path)
    }

    pub fn post(&self, path: &str) -> Call {
        self.call(reqwest::Method::POST, path)
    }

    pub fn put(&self, path: &str) -> Call {
        self.call(reqwest::Method::PUT, path)
    }

    pub fn patch(&self, path: &str) -> Call {
        self.call(reqwest::Method::PATCH, path)
    }

    pub fn delete(&self, path: &str) -> Call {
        self.call(reqwest::Method::DELETE, path)
    }
}

impl Call {
    pub fn token(self, token: &str) -> Self {
        Self(self.0.bearer_auth(token))
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    /// A body as it is, with the content type of JSON.
    pub fn raw(self, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.header("content-type", "application/json").body(body))
    }

    /// A body of another content type.
    pub fn bytes(self, content_type: &str, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.header("content-type", content_type).body(body))
    }

    /// A form with files: name, file name, declared type, content. A part without a file name is a text.
    pub fn multipart(self, parts: &[(&str, &str, &str, &[u8])]) -> Self {
        let mut body = Vec::new();
        for (name, file, content_type, content) in parts {
            body.extend(format!("--agape\r\nContent-Disposition: form-data; name=\"{name}\"").bytes());
            if !file.is_empty() {
                body.extend(format!("; filename=\"{file}\"\r\nContent-Type: {content_type}").bytes());
            }
            body.extend(b"\r\n\r\n");
            body.extend(*content);
            body.extend(b"\r\n");
        }
        body.extend(b"--agape--\r\n");
        self.bytes("multipart/form-data; boundary=agape", body)
    }

    pub fn form(self, body: &'static str) -> Self {
        Self(self.0.header("content-type", "application/x-www-form-urlencoded").body(body))
    }

    pub async fn send(self) -> Answer {
        let response = self.0.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.clone()));
        Answer { status, headers, body, text }
    }
}

impl Answer {
    /// The data of an answer that must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        match self.body {
            Value::Object(mut map) => map.remove("data").unwrap_or(Value::Null),
            other => other,
        }
    }

    /// Checks that this is a refusal in the one shape of errors. Gives the fields that the details name.
    #[track_caller]
    pub fn expect_error(&self, status: u16, code: &str) -> Vec<String> {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.body["status"], "error", "{}", self.text);
        assert_eq!(self.body["code"], code, "{}", self.text);
        for key in ["message", "userMessage", "timestamp"] {
            assert!(self.body[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {}", self.text);
        }
        assert_eq!(self.body["requestId"].as_str(), self.header("x-request-id").as_deref(), "{}", self.text);
        self.body["details"].as_array().unwrap().iter().map(|d| d["field"].as_str().unwrap().to_owned()).collect()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    }
}
