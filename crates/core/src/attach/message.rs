//! The messages inside sealed frames. One byte says which; what follows is little-endian.

use super::bytes::{Cut, Reader, put_counted};
use crate::ids::{ClientNo, ProductNo};
use crate::time::Timestamp;
use std::net::{IpAddr, Ipv6Addr};

/// A message that makes no sense: another version's, or damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a message this version can't read")]
pub struct Damaged;

impl From<Cut> for Damaged {
    fn from(_: Cut) -> Self {
        Self
    }
}

/// What a replica tells its node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToNode {
    /// The first message: it wants to be attached.
    Attach {
        /// The change format it reads ([`crate::change::FORMAT`]).
        format: u32,
        /// The bearer token of the internal listener, if it has one.
        bearer: String,
    },
    /// It asks for a lease.
    Renew {
        /// Its count of renewals.
        round: u64,
    },
    /// It has applied every change up to this number.
    Acknowledge {
        /// The last of them.
        number: u64,
    },
    /// It has ended its lease.
    Release,
    /// Clients' tokens were used there: all that nodes read before [`ToNode::Permitted`].
    Used(Vec<Used>),
    /// Checks were permitted there. Sent only to a node whose greeting says that it reads this.
    Permitted(Vec<Permitted>),
}

/// One use of a client's token: for the record, never for a decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Used {
    /// The API client concerned.
    pub client: ClientNo,
    /// The time at which it happened.
    pub at: Timestamp,
    /// From where; none when that is not known.
    pub address: Option<IpAddr>,
    /// For which product.
    pub product: ProductNo,
}

/// Permitted checks of one client, product and source, added up: for the record, never for a decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Permitted {
    /// The API client concerned.
    pub client: ClientNo,
    /// The generation of the token that was presented last.
    pub generation: u32,
    /// For which product.
    pub product: ProductNo,
    /// From where; of several the last. None when that is not known.
    pub address: Option<IpAddr>,
    /// Whether this adds up all addresses beyond the first of the client and day ([`crate::sources::FirstSources`]).
    pub others: bool,
    /// How many.
    pub n: u32,
    /// When the last of them was decided.
    pub last_at: Timestamp,
}

/// What a node tells an attached replica.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToReplica<'a> {
    /// A snapshot follows, in parts.
    Snapshot {
        /// It holds every change up to this number.
        base: u64,
        /// How many clients it will hold.
        clients: u32,
    },
    /// A part of the snapshot ([`crate::replica::Part`]).
    Part(&'a [u8]),
    /// The snapshot is whole.
    Loaded,
    /// Changes, one after the other.
    Changes {
        /// The first one's number.
        first: u64,
        /// Their bodies as [`crate::Change::to_body`] made them; empty for one that a check does not ask about.
        bodies: Vec<&'a str>,
    },
    /// A lease.
    Granted {
        /// The renewal it answers.
        round: u64,
        /// It counts once every change up to here is applied.
        through: u64,
        /// Nanoseconds from the sending of that renewal.
        term: u64,
    },
    /// It is not, or no longer, attached, and why.
    Expelled(&'a str),
}

impl ToNode {
    /// As bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Attach { format, bearer } => {
                out.push(1);
                out.extend(format.to_le_bytes());
                put_counted(&mut out, bearer.as_bytes());
            }
            Self::Renew { round } => {
                out.push(2);
                out.extend(round.to_le_bytes());
            }
            Self::Acknowledge { number } => {
                out.push(3);
                out.extend(number.to_le_bytes());
            }
            Self::Release => out.push(4),
            Self::Used(uses) => {
                out.push(5);
                for used in uses {
                    out.extend(used.client.0.to_le_bytes());
                    out.extend(used.at.0.to_le_bytes());
                    out.extend(used.product.0.to_le_bytes());
                    out.extend(v6(used.address).octets());
                }
            }
            Self::Permitted(all) => {
                out.push(6);
                for one in all {
                    for number in [one.client.0, one.generation, one.product.0, one.n] {
                        out.extend(number.to_le_bytes());
                    }
                    out.extend(one.last_at.0.to_le_bytes());
                    out.push(one.others.into());
                    out.extend(v6(one.address).octets());
                }
            }
        }
        out
    }

    /// Reads bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut reader = Reader(bytes);
        let message = match reader.byte()? {
            1 => Self::Attach {
                format: reader.u32()?,
                bearer: reader.text()?.to_owned(),
            },
            2 => Self::Renew {
                round: reader.u64()?,
            },
            3 => Self::Acknowledge {
                number: reader.u64()?,
            },
            4 => Self::Release,
            5 => {
                let mut uses = Vec::new();
                while !reader.is_empty() {
                    uses.push(Used {
                        client: ClientNo(reader.u32()?),
                        at: Timestamp(reader.u64()?.cast_signed()),
                        product: ProductNo(reader.u32()?),
                        address: from_v6(Ipv6Addr::from(reader.array::<16>()?)),
                    });
                }
                Self::Used(uses)
            }
            6 => {
                let mut all = Vec::new();
                while !reader.is_empty() {
                    all.push(permitted(&mut reader)?);
                }
                Self::Permitted(all)
            }
            _ => return Err(Damaged),
        };
        reader.end()?;
        Ok(message)
    }
}

fn permitted(reader: &mut Reader<'_>) -> Result<Permitted, Damaged> {
    let (client, generation) = (ClientNo(reader.u32()?), reader.u32()?);
    let (product, n) = (ProductNo(reader.u32()?), reader.u32()?);
    let last_at = Timestamp(reader.u64()?.cast_signed());
    let others = match reader.byte()? {
        0 => false,
        1 => true,
        _ => return Err(Damaged),
    };
    Ok(Permitted {
        client,
        generation,
        product,
        address: from_v6(Ipv6Addr::from(reader.array::<16>()?)),
        others,
        n,
        last_at,
    })
}

/// An address as IPv6. No caller has the unspecified address: it stands for an unknown one.
fn v6(address: Option<IpAddr>) -> Ipv6Addr {
    match address {
        Some(IpAddr::V4(address)) => address.to_ipv6_mapped(),
        Some(IpAddr::V6(address)) => address,
        None => Ipv6Addr::UNSPECIFIED,
    }
}

fn from_v6(address: Ipv6Addr) -> Option<IpAddr> {
    (!address.is_unspecified()).then(|| IpAddr::V6(address).to_canonical())
}

impl<'a> ToReplica<'a> {
    /// As bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Snapshot { base, clients } => {
                out.push(1);
                out.extend(base.to_le_bytes());
                out.extend(clients.to_le_bytes());
            }
            Self::Part(part) => {
                out.reserve(part.len() + 1);
                out.push(2);
                out.extend_from_slice(part);
            }
            Self::Loaded => out.push(3),
            Self::Changes { first, bodies } => {
                out.push(4);
                out.extend(first.to_le_bytes());
                bodies
                    .iter()
                    .for_each(|body| put_counted(&mut out, body.as_bytes()));
            }
            Self::Granted {
                round,
                through,
                term,
            } => {
                out.push(5);
                for number in [round, through, term] {
                    out.extend(number.to_le_bytes());
                }
            }
            Self::Expelled(why) => {
                out.push(6);
                out.extend_from_slice(why.as_bytes());
            }
        }
        out
    }

    /// Reads bytes.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, Damaged> {
        let mut reader = Reader(bytes);
        let message = match reader.byte()? {
            1 => Self::Snapshot {
                base: reader.u64()?,
                clients: reader.u32()?,
            },
            2 => return Ok(Self::Part(reader.0)),
            3 => Self::Loaded,
            4 => {
                let first = reader.u64()?;
                let mut bodies = Vec::new();
                while !reader.is_empty() {
                    bodies.push(reader.text()?);
                }
                Self::Changes { first, bodies }
            }
            5 => Self::Granted {
                round: reader.u64()?,
                through: reader.u64()?,
                term: reader.u64()?,
            },
            6 => {
                let why = std::str::from_utf8(reader.0).map_err(|_| Damaged)?;
                return Ok(Self::Expelled(why));
            }
            _ => return Err(Damaged),
        };
        reader.end()?;
        Ok(message)
    }
}
