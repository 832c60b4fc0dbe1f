package boltfile

import (
	"log/slog"
	"os"
	"runtime"
)

// warn tells the operator of a file that others can read or write. It was there before, or has been given away since: this package makes
// files that are the owner's alone. Its mode stays as it is, as somebody may have a reason for it.
func warn(log *slog.Logger, path string, file *os.File) {
	info, err := file.Stat()
	if err != nil || runtime.GOOS == "windows" { // whose modes say nothing of others
		return
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		log.Warn("others can read or write the database file", "file", path, "mode", mode.String(), "hint", "chmod 600 "+path)
	}
}
