//! Reading a whole body: within its limit and its time, and within what the service keeps of all of them.
//! It must never keep more than it said it would, nor look into what it reads.

use std::error::Error;
use std::iter;

use axum::body::{Body, Bytes, HttpBody as _};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::{Problem, codes};
use crate::limits::BodyLimit;

/// Most bytes of a body around which no limit stands.
const UNLIMITED_MAX_BYTES: usize = 2 * 1024 * 1024;

/// Reads a body as [`super::ProblemBytes`] does, whatever it holds; with the limit that stands in its request's
/// extensions. `keep` is asked before so many bytes more are kept: as they arrive, not as they are declared.
pub async fn read_body(
    body: Body,
    limit: Option<BodyLimit>,
    keep: impl FnMut(usize) -> Result<(), Problem>,
) -> Result<Bytes, Problem> {
    match limit {
        // What counts its bytes is around it already.
        Some(limit) => {
            let reading = Frames { body, limit: Some(limit) }.collect(keep);
            tokio::time::timeout(limit.timeout, reading).await.map_err(|_| limit.too_slow())?
        }
        None => Frames { body: Body::new(Limited::new(body, UNLIMITED_MAX_BYTES)), limit: None }.collect(keep).await,
    }
}

struct Frames {
    body: Body,
    limit: Option<BodyLimit>,
}

impl Frames {
    /// A body of one frame, as most are, is kept as it came. Of more, each is copied and let go: a frame holds the
    /// buffer it was received in, which may be thousands of times as large.
    async fn collect(mut self, mut keep: impl FnMut(usize) -> Result<(), Problem>) -> Result<Bytes, Problem> {
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        keep(first.len())?;
        let Some(mut frame) = self.next().await? else { return Ok(first) };
        let mut whole = first.to_vec();
        drop(first);
        let mut kept = whole.len();
        loop {
            let needed = whole.len() + frame.len();
            if needed > kept {
                let at_most = needed.saturating_add(self.left_at_most());
                // More than this frame's, so that not every one moves all before it; only this one's, should that be too much.
                let wanted = kept.saturating_mul(2).clamp(needed, at_most);
                kept = match keep(wanted - kept) {
                    Ok(()) => wanted,
                    Err(_) => keep(needed - kept).map(|()| needed)?,
                };
                whole.reserve_exact(kept - whole.len());
            }
            whole.extend_from_slice(&frame);
            match self.next().await? {
                Some(next) => frame = next,
                None => return Ok(Bytes::from(whole)),
            }
        }
    }

    /// The next bytes there are; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| refusal(&error, self.limit))?;
            if let Ok(bytes) = frame.into_data()
                && !bytes.is_empty()
            {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// How many bytes can come yet.
    fn left_at_most(&self) -> usize {
        self.body.size_hint().upper().map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX))
    }
}

fn refusal(error: &axum::Error, limit: Option<BodyLimit>) -> Problem {
    let first: &(dyn Error + 'static) = error;
    let mut causes = iter::successors(Some(first), |error| (*error).source());
    if causes.any(<dyn Error>::is::<LengthLimitError>) {
        BodyLimit::too_large(limit)
    } else {
        Problem::new(codes::INVALID_BODY).detail("The body ended early or could not be read.")
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use futures::stream;

    use super::*;

    fn of_frames(frames: &[usize]) -> Body {
        let frames: Vec<_> = frames.iter().map(|bytes| Ok::<_, std::io::Error>(Bytes::from(vec![7; *bytes]))).collect();
        Body::from_stream(stream::iter(frames))
    }

    /// What was read, and what was kept for it at most.
    async fn read(body: Body, room: usize) -> (Result<Bytes, Problem>, usize) {
        let mut kept = 0;
        let read = read_body(body, None, |bytes| {
            if kept + bytes > room {
                return Err(Problem::new(codes::OVERLOADED));
            }
            kept += bytes;
            Ok(())
        })
        .await;
        (read, kept)
    }

    #[tokio::test]
    async fn what_is_kept_grows_with_what_arrives() {
        for (frames, kept_bytes) in [(&[][..], 0), (&[10], 10), (&[10, 1], 20), (&[10, 1, 9, 0, 1], 40)] {
            let (read, kept) = read(of_frames(frames), usize::MAX).await;
            assert_eq!(read.unwrap().len(), frames.iter().sum::<usize>());
            assert_eq!(kept, kept_bytes, "{frames:?}");
        }
        // Nothing is kept for what cannot come.
        let (whole, kept) = read(Body::new(Limited::new(of_frames(&[10, 1, 4]), 15)), usize::MAX).await;
        assert_eq!((whole.unwrap().len(), kept), (15, 15));
    }

    #[tokio::test]
    async fn what_finds_no_room_is_refused_and_what_just_fits_is_not() {
        assert_eq!(read(of_frames(&[10, 5, 5]), 20).await.0.unwrap(), vec![7; 20]);
        assert_eq!(read(of_frames(&[10, 5]), 15).await.0.unwrap(), vec![7; 15]);
        for frames in [&[16][..], &[10, 6], &[10, 5, 1]] {
            assert_eq!(read(of_frames(frames), 15).await.0.unwrap_err().code(), codes::OVERLOADED, "{frames:?}");
        }
    }

    #[tokio::test]
    async fn a_body_without_a_limit_has_one() {
        let (refused, kept) = read(of_frames(&[UNLIMITED_MAX_BYTES, 1]), usize::MAX).await;
        assert_eq!(refused.unwrap_err().into_response().status(), 413);
        assert_eq!(kept, UNLIMITED_MAX_BYTES);
    }
}
