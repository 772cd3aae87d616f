// Colours of traces that colour-blind people can tell apart (after Okabe and Ito), on dark and on light ground.

export const TRACES = {
  dark: ["#56b4e9", "#e69f00", "#00c08b", "#f0e442", "#ff7f3f", "#e39ac4", "#8fa3ff", "#ffffff"],
  light: ["#0072b2", "#b35900", "#00795a", "#8c3a6b", "#7a6300", "#2f5fd0", "#d55e00", "#000000"],
};
export const AROUND = {
  dark: { text: "#dde3ea", dim: "#8d98a5", grid: "#2c333c", gap: "#ff7b72", back: "#0b0e11" },
  light: { text: "#14181d", dim: "#56606b", grid: "#d3d9e0", gap: "#b3261e", back: "#f7f9fb" },
};

export const colourOf = (theme, trace) => TRACES[theme][trace % TRACES[theme].length];

// Red, green and blue from 0 to 1, as a GPU has them.
export const parts = (colour) => [1, 3, 5].map((place) => parseInt(colour.slice(place, place + 2), 16) / 255);
