//! How tokens end before their time: one pair, or all of a TPP.

use certs::OrganisationId;
use jiff::Timestamp;

use super::pair::{end, read_standing, standing_place};
use super::records::{GrantRecord, Standing, Suspension};
use super::{Book, Changes, Kind, Pause, Place, Step};
use crate::token::{TokenDigest, TokenRecord};

/// What a revocation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Revoked {
    /// The token, and its pair with it; none, where nobody could read what it was.
    Ended(Option<Box<TokenRecord>>),
    /// It belongs to another TPP, and stays.
    OtherTpp,
    /// There was none.
    Nothing,
}

/// Ends a token and its pair (RFC 7009 §2.1). `owner`: only if it is this TPP's.
///
/// # Errors
/// See [`Pause`].
pub fn revoke(
    book: &Book<'_>,
    token: TokenDigest,
    owner: Option<&OrganisationId>,
) -> Step<Revoked> {
    let place = Place::new(Kind::Token, token);
    let mut changes = Changes::default();
    let Some(page) = book.read(place)? else { return Ok((Revoked::Nothing, changes)) };
    let record = match TokenRecord::from_json(page) {
        Ok(record) => record,
        // The bank's own people may take away what nobody can read.
        Err(_) if owner.is_none() => {
            changes.remove(place);
            return Ok((Revoked::Ended(None), changes));
        }
        Err(_) => return Err(Pause::Damaged(Kind::Token)),
    };
    if owner.is_some_and(|owner| *owner != record.organisation_id) {
        return Ok((Revoked::OtherTpp, changes));
    }
    changes.remove(place);
    if let Some(granted) = &record.granted {
        let grant = Place::new(Kind::Grant, granted.grant);
        let pair = book.read(grant)?.map(GrantRecord::from_json).transpose()?;
        if pair.is_some_and(|pair| pair.access == token || pair.refresh == Some(token)) {
            end(book, grant, &mut changes)?;
        }
    }
    Ok((Revoked::Ended(Some(Box::new(record))), changes))
}

/// What becomes of a TPP whose tokens all end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Cut {
    /// It gets no new ones until it is resumed.
    Suspend(Suspension),
    /// It may ask for new ones.
    Resume,
    /// It stays what it was.
    Only,
}

/// Ends every token of a TPP at once, however many there are; tells what it was before.
///
/// # Errors
/// See [`Pause`].
pub fn cut(
    book: &Book<'_>,
    organisation_id: &OrganisationId,
    then: &Cut,
    now: Timestamp,
) -> Step<Standing> {
    let before = read_standing(book, organisation_id)?;
    let suspended = match then {
        Cut::Suspend(suspension) => Some(suspension.clone()),
        Cut::Resume => None,
        Cut::Only => before.suspended.clone(),
    };
    let standing = Standing {
        organisation_id: Some(organisation_id.clone()),
        epoch: before.epoch.saturating_add(1),
        // A clock that lags behind brings nothing back that an earlier cut has ended.
        cut_at: Some(before.cut_at.map_or(now, |cut_at| cut_at.max(now))),
        suspended,
    };
    let mut changes = Changes::default();
    changes.keep(standing_place(organisation_id), standing.to_json());
    Ok((before, changes))
}
