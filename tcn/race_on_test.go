//go:build race

package tcn

const raceDetector = true
