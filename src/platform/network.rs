//! Networks, as the settings name them.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::Deserialize;

/// An address, or a network such as `10.0.0.0/8` (CIDR, RFC 4632).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(IpNet);

impl Network {
    /// Whether `ip` is in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip.to_canonical())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let address = text.parse::<IpAddr>().map(|ip| IpNet::from(ip.to_canonical()));
        address
            .or_else(|_| text.parse::<IpNet>())
            .map(Self)
            .map_err(|_| format!("\"{text}\" must be an address or a network such as 10.0.0.0/8"))
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::platform::config::Settings;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn has(text: &str, ip: &str) -> bool {
        network(text).contains(ip.parse().unwrap())
    }

    #[test]
    fn an_address_is_a_network_of_one() {
        assert!(has("10.0.0.1", "10.0.0.1") && !has("10.0.0.1", "10.0.0.2"));
        assert!(has("2001:db8::1", "2001:db8::1") && !has("2001:db8::1", "2001:db8::2"));
        assert!(has("::ffff:10.0.0.1", "10.0.0.1") && has("10.0.0.1", "::ffff:10.0.0.1"));
    }

    #[test]
    fn a_network_has_its_addresses() {
        assert!(has("10.0.0.0/8", "10.255.0.1") && !has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("10.1.2.3/8", "10.9.9.9"), "what stands behind the prefix does not matter");
        assert!(has("2001:db8::/32", "2001:db8:ffff::1") && !has("2001:db8::/32", "2001:db9::1"));
        assert!(has("0.0.0.0/0", "203.0.113.7") && !has("0.0.0.0/0", "::1"));
        assert_eq!(network(" 10.0.0.0/8 "), network("10.0.0.0/8"));
    }

    #[test]
    fn a_wrong_one_is_named_with_its_setting() {
        let load = |value: &str| {
            let env = BTreeMap::from([("AGAPE_SERVER__TRUSTED_PROXIES".to_owned(), value.to_owned())]);
            Settings::load(None, &env).unwrap().config()
        };
        let config = load("127.0.0.1, 10.0.0.0/8,fd00::/8").unwrap();
        assert_eq!(config.server.trusted_proxies, ["127.0.0.1", "10.0.0.0/8", "fd00::/8"].map(network));
        for wrong in ["10.0.0.0/33", "proxy", "10.0.0", "10.0.0.0/"] {
            let faults = load(&format!("127.0.0.1,{wrong}")).unwrap_err().0;
            let fault =
                format!("server.trusted_proxies: \"{wrong}\" must be an address or a network such as 10.0.0.0/8");
            assert_eq!(faults, [fault]);
        }
    }
}
