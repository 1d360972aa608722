use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

#[test]
fn only_addresses_of_the_internet_are_public() {
    for (ip, public) in [
        ("8.8.8.8", true),
        ("1.1.1.1", true),
        ("102.89.0.1", true),
        ("0.0.0.0", false),
        ("0.1.2.3", false),
        ("10.0.0.1", false),
        ("100.63.255.255", true),
        ("100.64.0.1", false),
        ("100.127.255.255", false),
        ("100.128.0.1", true),
        ("127.0.0.1", false),
        ("127.255.255.254", false),
        ("169.254.169.254", false),
        ("172.15.0.1", true),
        ("172.16.0.1", false),
        ("172.31.255.255", false),
        ("172.32.0.1", true),
        ("192.0.0.1", false),
        ("192.0.2.1", false),
        ("192.88.99.1", false),
        ("192.168.1.1", false),
        ("198.18.0.1", false),
        ("198.20.0.1", true),
        ("198.51.100.1", false),
        ("203.0.113.1", false),
        ("224.0.0.1", false),
        ("240.0.0.1", false),
        ("255.255.255.255", false),
        ("2606:4700:4700::1111", true),
        ("2a00:1450:4001::1", true),
        ("::", false),
        ("::1", false),
        ("::ffff:8.8.8.8", false),
        ("::ffff:127.0.0.1", false),
        ("::127.0.0.1", false),
        ("64:ff9b::808:808", false),
        ("64:ff9b:1::1", false),
        ("100::1", false),
        ("2001::1", false),
        ("2001:db8::1", false),
        ("2001:4860:4860::8888", true),
        ("2002:7f00:1::", false),
        ("3fff::1", false),
        ("fc00::1", false),
        ("fd00:ec2::254", false),
        ("fe80::1", false),
        ("fec0::1", false),
        ("ff02::1", false),
    ] {
        assert_eq!(is_public(ip.parse().unwrap()), public, "{ip}");
    }
}

fn fetcher(networks: &[&str]) -> Fetcher {
    Fetcher {
        private_networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
        max_bytes: 10_000,
        timeout: Duration::from_secs(5),
    }
}

async fn refusal(fetcher: &Fetcher, url: &str) -> String {
    match fetcher.fetch(url).await {
        Err(FetchError::Refused(why) | FetchError::Forbidden(why)) => why,
        other => panic!("{url}: {other:?}"),
    }
}

async fn is_forbidden(fetcher: &Fetcher, url: &str) -> bool {
    matches!(fetcher.fetch(url).await, Err(FetchError::Forbidden(_)))
}

/// Every way to write an address that is not public, and other things that are not fetched.
#[tokio::test]
async fn what_is_not_public_is_never_reached() {
    for url in [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://0/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/x.jpg",
        "http://１２７.０.０.１/",
    ] {
        assert!(refusal(&fetcher(&[]), url).await.contains("not public"), "{url}");
        assert!(is_forbidden(&fetcher(&[]), url).await, "{url}");
    }
    for (url, word) in [
        ("file:///etc/passwd", "only http"),
        ("ftp://8.8.8.8/x", "only http"),
        ("gopher://8.8.8.8/", "only http"),
        ("nonsense", "not an address"),
        ("http://user:secret@8.8.8.8/", "user or password"),
        ("http://user@8.8.8.8/", "user or password"),
        ("http://8.8.8.8:22/", "ports"),
        ("https://8.8.8.8:8443/", "ports"),
    ] {
        assert!(refusal(&fetcher(&[]), url).await.contains(word), "{url}");
    }
}

/// A server that gives each request's path its answer. Gives its address.
async fn server(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = std::sync::Arc::new(answer);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let read = socket.read(&mut request).await.unwrap();
                let text = String::from_utf8_lossy(&request[..read]).into_owned();
                let path = text.split(' ').nth(1).unwrap().to_owned();
                let _ = socket.write_all(&answer(&path)).await;
                if path == "/endless" {
                    while socket.write_all(b"400\r\n").await.is_ok()
                        && socket.write_all(&[b'x'; 1024]).await.is_ok()
                        && socket.write_all(b"\r\n").await.is_ok()
                    {}
                }
                if path == "/silent" {
                    let _ = socket.read(&mut request).await;
                }
            });
        }
    });
    format!("http://{address}")
}

fn http(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}").into_bytes()
}

#[tokio::test]
async fn files_redirects_and_their_ends() {
    let base = server(|path| match path {
        "/file" => http("200 OK\r\nContent-Length: 4", "cloth"),
        "/moved" => http("301 Moved\r\nLocation: /file", ""),
        "/inside" => http("302 Found\r\nLocation: http://127.0.0.2/secret", ""),
        "/metadata" => http("307 Found\r\nLocation: http://169.254.169.254/latest", ""),
        "/scheme" => http("302 Found\r\nLocation: file:///etc/passwd", ""),
        "/loop" => http("302 Found\r\nLocation: /loop", ""),
        "/nowhere" => http("302 Found", ""),
        "/large" => http("200 OK\r\nContent-Length: 10001", ""),
        "/endless" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        "/busy" => http("503 Busy", ""),
        "/silent" => Vec::new(),
        _ => http("404 Not Found", ""),
    })
    .await;
    let fetcher = Fetcher { timeout: Duration::from_secs(2), ..fetcher(&["127.0.0.1"]) };
    assert_eq!(fetcher.fetch(&format!("{base}/file")).await.unwrap(), b"clot");
    assert_eq!(fetcher.fetch(&format!("{base}/moved")).await.unwrap(), b"clot");
    for (path, word) in [
        ("/inside", "not public"),
        ("/metadata", "not public"),
        ("/scheme", "only http"),
        ("/loop", "too often"),
        ("/nowhere", "nowhere"),
        ("/large", "larger"),
        ("/endless", "larger"),
        ("/missing", "404"),
    ] {
        let why = refusal(&fetcher, &format!("{base}{path}")).await;
        assert!(why.contains(word), "{path}: {why}");
        let leads_astray = ["not public", "only http"].contains(&word);
        assert_eq!(is_forbidden(&fetcher, &format!("{base}{path}")).await, leads_astray, "{path}");
    }
    for (path, word) in [("/busy", "503"), ("/silent", "longer than 2 seconds")] {
        match fetcher.fetch(&format!("{base}{path}")).await {
            Err(FetchError::Failed(why)) => assert!(why.contains(word), "{path}: {why}"),
            other => panic!("{path}: {other:?}"),
        }
    }
    // Without the exception nothing of it is reached.
    assert!(refusal(&super::tests::fetcher(&[]), &format!("{base}/file")).await.contains("not public"));
}
