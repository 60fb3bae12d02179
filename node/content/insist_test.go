package content

import (
	"context"
	"testing"
	"testing/synctest"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
)

// TestInsist: a block that was lost on the way is asked for again, until the caller
// gives up.
func TestInsist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := blocks.NewBlock([]byte("block"))
		asked := 0
		get := insist(func(ctx context.Context, c cid.Cid) (blocks.Block, error) {
			if asked++; asked == 3 {
				return want, nil
			}
			<-ctx.Done()
			return nil, ctx.Err()
		})
		if got, err := get(t.Context(), want.Cid()); err != nil || got != want || asked != 3 {
			t.Errorf("%v, %v after %d times", got, err, asked)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*idleTime/2)
		defer cancel()
		asked = 10
		if _, err := get(ctx, want.Cid()); err == nil || asked != 13 {
			t.Errorf("%v after %d times", err, asked-10)
		}
	})
}
