//go:build !race

package tcn

const raceDetector = false
