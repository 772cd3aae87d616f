// Colour maps that colour-blind people can read, and that grow evenly lighter; 33 colours each, in between linearly.
// viridis and cividis: as Matplotlib has them (CC0).

const TABLES = {
  viridis:
    "440154 470d60 48186a 482374 472d7b 453681 424086 3f4989 3b528b 375a8d 33638d 2f6a8e 2c728e 297a8e 26818e " +
    "23898e 21908c 1f988b 1f9f88 21a685 28ae80 31b57b 3ebc74 4cc26c 5dc963 6ece58 82d34c 96d83f abdc32 c0df24 " +
    "d5e21a eae51a fde725",
  cividis:
    "00224e 00285b 002e6a 043371 1a386f 273e6e 32436d 3b496c 434e6c 4b546c 52596d 5a5f6e 61656f 686a71 6f7073 " +
    "757676 7c7b78 848179 8b8778 938d78 9b9376 a39a75 aba072 b3a670 bbad6c c3b469 ccba64 d4c15f ddc958 e6d051 " +
    "efd748 f8df3c fee838",
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
