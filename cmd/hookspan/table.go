package main

import (
	"fmt"
	"strings"

	"github.com/mattn/go-runewidth"

	"github.com/hookspan/hookspan/internal/printable"
)

// table is a heading and rows, in columns as wide as their widest cell.
type table struct {
	rows [][]cell
}

type cell struct {
	text string
	tone tone
}

func newTable(heading ...string) *table {
	t := &table{}
	row := make([]any, len(heading))
	for i, text := range heading {
		row[i] = text
	}
	t.row(row...)
	return t
}

// row adds a row; each cell is formatted as by fmt.Sprint, and escaped. One that is [toned] has
// its colour.
func (t *table) row(cells ...any) {
	row := make([]cell, len(cells))
	for i, c := range cells {
		if toned, ok := c.(toned); ok {
			row[i].tone = toned.tone
		}
		row[i].text = printable.String(fmt.Sprint(c))
	}
	t.rows = append(t.rows, row)
}

func (t *table) print(p *printer) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], runewidth.StringWidth(c.text))
		}
	}
	for _, row := range t.rows {
		var line strings.Builder
		for i, c := range row {
			line.WriteString(p.tint(c.tone, c.text))
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-runewidth.StringWidth(c.text)+2))
			}
		}
		p.raw(strings.TrimRight(line.String(), " ") + "\n")
	}
}
