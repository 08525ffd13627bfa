//! What was sworn about the lines: checkpoints in the file, and claims that stand elsewhere.

use super::super::claims::Claim;
use super::super::fault::{Fault, FaultKind};
use super::{Ending, Walker};
use crate::audit::chain::Checkpoint;

impl Walker<'_> {
    pub(super) fn checkpoint(&mut self, at: (u64, u64), bytes: &[u8], number: u64) {
        let checkpoint: Checkpoint = match serde_json::from_slice(bytes) {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                let detail = format!("it is called a checkpoint and is none: {error}");
                self.fault(at, bytes, FaultKind::Forged, detail);
                return;
            }
        };
        if checkpoint.file != self.name {
            let written = checkpoint.file.escape_debug();
            let detail = format!("this checkpoint was made for {written}");
            self.fault(at, bytes, FaultKind::Forged, detail);
            return;
        }
        if let Err(fault) = self.keys.verify(&checkpoint) {
            let detail = format!("the checkpoint over number {}: {fault}", checkpoint.sequence);
            self.fault(at, bytes, FaultKind::Forged, detail);
            return;
        }
        let covered = self.hashes.iter().rev().find(|(number, _)| *number == checkpoint.sequence);
        let Some((_, hash)) = covered.copied().filter(|_| checkpoint.sequence < number) else {
            let detail = format!(
                "this checkpoint is over number {}, which does not stand before it",
                checkpoint.sequence
            );
            self.fault(at, bytes, FaultKind::Forged, detail);
            return;
        };
        if hex::encode(hash) != checkpoint.hash {
            let what = format!("this checkpoint, of {}", checkpoint.time);
            self.broken_claim(at, bytes, checkpoint.sequence, &what);
            return;
        }
        self.walk.checkpoints += 1;
        self.held_until = self.held_until.max(Some(checkpoint.sequence));
        self.sworn = self.sworn.max(Some(checkpoint.sequence));
        let known = self.claims.partition_point(|claim| claim.number < checkpoint.sequence);
        let mut known = self.claims.get(known..).unwrap_or_default().iter();
        let same = |claim: &&Claim| claim.number == checkpoint.sequence;
        if !known.by_ref().take_while(same).any(Claim::is_listed) {
            let (count, lowest) = self.walk.unlisted.unwrap_or((0, checkpoint.sequence));
            self.walk.unlisted = Some((count + 1, lowest.min(checkpoint.sequence)));
        }
        if self.ending == Ending::Closing(checkpoint.sequence) {
            self.ending = Ending::Closed;
        }
    }

    pub(super) fn hold_against_claims(&mut self, at: (u64, u64), number: u64, hash: [u8; 32]) {
        while let Some(claim) = self.claims.get(self.claim) {
            if claim.number > number {
                return;
            }
            self.claim += 1;
            if claim.number < number {
                continue;
            }
            if claim.hash == hash {
                self.held_until = self.held_until.max(Some(number));
                if claim.is_signed() {
                    self.sworn = self.sworn.max(Some(number));
                }
            } else {
                self.broken_claim(at, b"", number, &claim.source.to_string());
            }
        }
    }

    /// What was sworn to is not what stands there. Each later claim must fail as well: they are told
    /// together.
    fn broken_claim(&mut self, at: (u64, u64), bytes: &[u8], number: u64, source: &str) {
        if let Some((_, more)) = &mut self.broken_claims {
            *more += 1;
            return;
        }
        let from = self.held_until.map_or(0, |held| held + 1);
        let detail = format!(
            "{source} has another hash for number {number}: the lines fit each other and are not those \
             that were signed; what was changed has a number from {from} to {number}"
        );
        let fault = Fault::of_line(&self.name, at, bytes, FaultKind::Rewritten, detail);
        self.broken_claims = Some((fault, 0));
    }
}
