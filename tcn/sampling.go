package tcn

// Sampling says how the next byte is drawn. The draw depends on (Seed,
// position) alone, so a generation carries no generator state.
type Sampling struct {
	Temperature float32 // 0 takes the largest logit, ties to the lower byte
	TopK        int     // 0: all
	TopP        float32 // 0 or 1: all
	Seed        uint64
}
