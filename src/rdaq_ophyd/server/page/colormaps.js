// Colour maps that colour-blind people can read, and that grow evenly lighter; 65 colours each, in between linearly.
// viridis and cividis: as Matplotlib has them (CC0).

const TABLES = {
  viridis:
    "440154 46065a 470d60 471365 48186a 481d6f 482374 482878 472d7b 46327e 453681 443b84 424086 " +
    "404587 3f4989 3d4e8a 3b528b 39568c 375a8d 355e8d 33638d 31668e 2f6a8e 2e6e8e 2c728e 2b768e " +
    "297a8e 287d8e 26818e 25858e 23898e 228c8d 21908c 20948c 1f988b 1e9b8a 1f9f88 20a387 21a685 " +
    "24aa83 28ae80 2cb17e 31b57b 37b877 3ebc74 45bf70 4cc26c 54c667 5dc963 65cc5d 6ece58 78d152 " +
    "82d34c 8cd646 96d83f a0da39 abdc32 b5de2b c0df24 cbe11f d5e21a e0e318 eae51a f4e61e fde725",
  cividis:
    "00224e 002554 00285b 002b62 002e6a 003070 043371 113570 1a386f 213b6e 273e6e 2d416d 32436d " +
    "36466c 3b496c 3f4c6c 434e6c 47516c 4b546c 4f576c 52596d 565c6d 5a5f6e 5d626e 61656f 646770 " +
    "686a71 6b6d72 6f7073 727374 757676 797877 7c7b78 807e78 848179 878478 8b8778 8f8a78 938d78 " +
    "979077 9b9376 9f9676 a39a75 a79d74 aba072 afa371 b3a670 b7aa6e bbad6c bfb06b c3b469 c8b766 " +
    "ccba64 d0be61 d4c15f d9c55c ddc958 e1cc55 e6d051 ead44c efd748 f4db42 f8df3c fde334 fee838",
  gray: "000000 ffffff",
};

export const NAMES = Object.keys(TABLES);

// 256 colours as RGBA bytes.
export function table(name) {
  const colours = TABLES[name].split(" ").map((text) => [0, 2, 4].map((place) => parseInt(text.slice(place, place + 2), 16)));
  const made = new Uint8Array(256 * 4);
  for (let index = 0; index < 256; index++) {
    const place = (index / 255) * (colours.length - 1);
    const before = Math.min(Math.floor(place), colours.length - 2);
    const share = place - before;
    for (let part = 0; part < 3; part++) {
      made[4 * index + part] = Math.round((1 - share) * colours[before][part] + share * colours[before + 1][part]);
    }
    made[4 * index + 3] = 255;
  }
  return made;
}
