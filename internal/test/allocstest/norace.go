//go:build !race

package allocstest

const raceDetector = false
