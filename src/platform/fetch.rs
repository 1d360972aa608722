//! Fetches files from addresses that strangers wrote, and sends to such addresses, without being led into networks that are not
//! public.
//!
//! The host's name is resolved here, once; every address must be a public one, and the connection goes to those addresses
//! and no others, so that a name that changes its meaning meanwhile leads nowhere. Redirects are followed by hand, and each
//! is checked like the first address. No proxy, no cookies, no credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, HeaderMap, LOCATION};
use reqwest::redirect::Policy;
use url::{Host, Url};

use super::network::Network;

/// How often one may be sent on.
const MAX_REDIRECTS: usize = 5;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a file was not fetched.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// It never will be: what stands there is not a file that is wanted.
    #[error("{0}")]
    Refused(String),
    /// It never will be, and nobody else should be led there: the address is not allowed.
    #[error("{0}")]
    Forbidden(String),
    /// It may be later.
    #[error("{0}")]
    Failed(String),
}

/// What was answered.
#[derive(Debug)]
pub struct Posted {
    /// The status.
    pub status: u16,
    /// The beginning of the body.
    pub body: Vec<u8>,
}

/// What may be fetched.
#[derive(Clone, Debug)]
pub struct Fetcher {
    /// Networks besides the public ones that may be reached, on any port.
    pub private_networks: Vec<Network>,
    /// The largest file in bytes.
    pub max_bytes: usize,
    /// How long all of it may take, redirects included.
    pub timeout: Duration,
}

impl Fetcher {
    /// Fetches a file.
    ///
    /// # Errors
    /// `Refused` and `Forbidden` where another try is useless, `Failed` where it is not.
    pub async fn fetch(&self, address: &str) -> Result<Vec<u8>, FetchError> {
        match tokio::time::timeout(self.timeout, self.follow(address)).await {
            Ok(result) => result,
            Err(_) => Err(self.too_long()),
        }
    }

    async fn follow(&self, address: &str) -> Result<Vec<u8>, FetchError> {
        let mut url = Url::parse(address).map_err(|_| refused("it is not an address"))?;
        for _ in 0..=MAX_REDIRECTS {
            let mut response = self.get(&url).await?;
            let status = response.status();
            if status.is_redirection() {
                let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
                let location = location.ok_or_else(|| refused("it redirects to nowhere"))?;
                url = url.join(location).map_err(|_| refused("it redirects to what is not an address"))?;
                continue;
            }
            if !status.is_success() {
                let why = format!("the server answers {}", status.as_u16());
                let is_temporary = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
                return Err(if is_temporary { FetchError::Failed(why) } else { FetchError::Refused(why) });
            }
            return self.read(&mut response).await;
        }
        Err(refused("it redirects too often"))
    }

    /// Asks the server of one address, which does not send us on by itself.
    async fn get(&self, url: &Url) -> Result<reqwest::Response, FetchError> {
        self.client(url).await?.get(url.clone()).send().await.map_err(failed)
    }

    /// Sends JSON to an address and gives what it answers, whatever the status is; of the body at most `max_bytes`. Redirects are
    /// not followed.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub async fn post(&self, address: &str, headers: HeaderMap, body: String) -> Result<Posted, FetchError> {
        let send = async {
            let url = Url::parse(address).map_err(|_| refused("it is not an address"))?;
            let request = self.client(&url).await?.post(url).headers(headers).body(body);
            let mut response = request.send().await.map_err(failed)?;
            let mut answer = Vec::new();
            while answer.len() < self.max_bytes {
                let Some(piece) = response.chunk().await.map_err(failed)? else { break };
                answer.extend_from_slice(&piece);
            }
            answer.truncate(self.max_bytes);
            Ok(Posted { status: response.status().as_u16(), body: answer })
        };
        match tokio::time::timeout(self.timeout, send).await {
            Ok(result) => result,
            Err(_) => Err(self.too_long()),
        }
    }

    /// Whether an address may be reached now.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub async fn check(&self, address: &str) -> Result<(), FetchError> {
        let url = Url::parse(address).map_err(|_| refused("it is not an address"))?;
        match tokio::time::timeout(self.timeout, self.addresses(&url)).await {
            Ok(found) => found.map(drop),
            Err(_) => Err(self.too_long()),
        }
    }

    fn too_long(&self) -> FetchError {
        FetchError::Failed(format!("it took longer than {} seconds", self.timeout.as_secs()))
    }

    /// A client that reaches the address's host where it is now, and nothing else.
    async fn client(&self, url: &Url) -> Result<reqwest::Client, FetchError> {
        let (host, addresses) = self.addresses(url).await?;
        reqwest::Client::builder()
            .resolve_to_addrs(&host, &addresses)
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent("agape")
            .build()
            .map_err(|error| FetchError::Failed(error.to_string()))
    }

    /// The host of an address, and where to connect to; refuses what must not be reached.
    async fn addresses(&self, url: &Url) -> Result<(String, Vec<SocketAddr>), FetchError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(forbidden("only http and https are fetched"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(forbidden("it has a user or password in it"));
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(refused("it names no host"));
        };
        let found: Vec<SocketAddr> = match host {
            Host::Ipv4(ip) => vec![(IpAddr::V4(ip), port).into()],
            Host::Ipv6(ip) => vec![(IpAddr::V6(ip), port).into()],
            Host::Domain(name) => match tokio::net::lookup_host((name, port)).await {
                Ok(found) => found.collect(),
                Err(_) => return Err(FetchError::Failed(format!("{name} is not known"))),
            },
        };
        if found.is_empty() {
            return Err(FetchError::Failed("its host has no address".into()));
        }
        let is_named = |ip: IpAddr| self.private_networks.iter().any(|network| network.contains(ip));
        for address in &found {
            if is_named(address.ip()) {
                continue;
            }
            // One of several that is not public is enough: nobody has such a name by accident.
            if !is_public(address.ip()) {
                return Err(forbidden("it leads into a network that is not public"));
            }
            if !matches!(port, 80 | 443) {
                return Err(forbidden("only the ports 80 and 443 are fetched from"));
            }
        }
        Ok((host.to_string(), found))
    }

    async fn read(&self, response: &mut reqwest::Response) -> Result<Vec<u8>, FetchError> {
        let too_large = || FetchError::Refused(format!("it is larger than {} bytes", self.max_bytes));
        let told = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if told.is_some_and(|bytes| bytes > self.max_bytes) {
            return Err(too_large());
        }
        let mut file = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(failed)? {
            if file.len().saturating_add(piece.len()) > self.max_bytes {
                return Err(too_large());
            }
            file.extend_from_slice(&piece);
        }
        Ok(file)
    }
}

fn refused(why: &str) -> FetchError {
    FetchError::Refused(why.to_owned())
}

fn forbidden(why: &str) -> FetchError {
    FetchError::Forbidden(why.to_owned())
}

/// Without the address, which the caller knows and which may be long.
fn failed(error: reqwest::Error) -> FetchError {
    let error = error.without_url();
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    FetchError::Failed(format!("{error}{cause}"))
}

/// Whether an address is one of the public internet, by the registries of special addresses (RFC 6890 and its updates).
/// Addresses that carry an IPv4 address inside are refused whatever it is.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    !matches!(
        ip.octets(),
        [0 | 10 | 127 | 224..=255, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [192, 168, ..]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    )
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    // Global unicast is 2000::/3; in it are Teredo and others of the IETF (2001::/23), documentation (2001:db8::/32,
    // 3fff::/20) and 6to4 (2002::/16).
    match ip.segments() {
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
